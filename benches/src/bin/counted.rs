//! Runs every workload once, each inside [`counted_work`], which callgrind is told to count; then says their names in
//! order and what this processor offers, for `cargo xtask counts`.

/// Callgrind counts from here until it returns.
#[inline(never)]
fn counted_work(job: telepane_benches::Job) -> u64 {
    std::hint::black_box(job())
}

fn main() {
    for workload in telepane_benches::all() {
        let job = (workload.prepare)();
        let did = counted_work(job);
        println!("work {} {} {did}", workload.units, workload.name);
    }
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! features {
            ($($name:tt),*) => { [$(($name, std::arch::is_x86_feature_detected!($name))),*] };
        }
        let have = features!("sse4.2", "avx", "avx2", "fma", "bmi1", "bmi2", "lzcnt", "popcnt", "avx512f", "sha");
        let names: Vec<&str> = have.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        println!("features x86_64 {}", names.join(" "));
    }
    #[cfg(not(target_arch = "x86_64"))]
    println!("features {}", std::env::consts::ARCH);
}
