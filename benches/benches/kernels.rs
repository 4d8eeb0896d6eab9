//! `cargo bench -p telepane-benches`: the workloads in time.

use criterion::{BatchSize, Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for workload in telepane_benches::all() {
        let mut group = criterion.benchmark_group("kernels");
        group.throughput(Throughput::Elements(workload.units));
        group.bench_function(workload.name, |b| {
            b.iter_batched(&workload.prepare, |job| job(), BatchSize::LargeInput);
        });
        group.finish();
    }
    criterion.final_summary();
}
