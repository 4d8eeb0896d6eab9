//! Runs a workload once inside [`counted_work`], which callgrind is told to count; without a number it names all of them
//! and says what this processor offers. For `cargo xtask counts`.

/// Callgrind counts from here until it returns.
#[inline(never)]
fn counted_work(job: telepane_benches::Job) -> u64 {
    std::hint::black_box(job())
}

fn main() {
    let all = telepane_benches::all();
    if let Some(number) = std::env::args().nth(1) {
        if let Some(workload) = number.parse::<usize>().ok().and_then(|n| all.get(n)) {
            let job = (workload.prepare)();
            println!("did {}", counted_work(job));
        }
        return;
    }
    for workload in &all {
        println!("work {} {}", workload.units, workload.name);
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
