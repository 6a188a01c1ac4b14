//! Times of single operations: `cargo bench -p parkade-bench --bench micro -- NAME`.
//!
//! What they cost in instructions, which no neighbour on the machine disturbs, is what `ci/callgrind` counts of the same
//! operations.

mod operations;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

fn micro(c: &mut Criterion) {
    for operation in operations::ALL {
        c.bench_function(operation.name, |b| b.iter_custom(operation.run));
    }
}

/// Short, so that all of them take half a minute.
fn settings() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
}

criterion_group! { name = all; config = settings(); targets = micro }
criterion_main!(all);
