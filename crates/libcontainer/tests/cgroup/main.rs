//! Cgroups on the kernel that runs the tests: natively (v1, hybrid or v2), and on a hybrid host in a private cgroup v2
//! view as well. They need root, and leave nothing behind but say so if they skip.

mod devices;
mod lifecycle;
mod view;
