//! Random operations against the broker and against a small model of it, under simulated time: whatever a client
//! sees must be what the model says.
//!
//! `MODEL_CASES` says how many cases are tried, `MODEL_SEED` the number of the first: the case of a number is always
//! the same. A case that fails is made as short as it gets and told as a story.

mod found;
mod message;
mod model;
mod operation;
mod perform;
mod promise;
mod rules;
mod run;
mod session;
mod shared;
mod subscribing;
mod wire;
mod world;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use operation::Operation;
use run::Run;

/// Cases when nothing else is said: some five seconds.
const CASES: u64 = 1500;

fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text:?}")),
        Err(_) => otherwise,
    }
}

/// Runs one case to its end; a failure is what happened, sentence by sentence, and what was wrong.
fn try_case(operations: &[Operation]) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without sockets needs nothing");
    runtime.block_on(async {
        let mut run = Run::new();
        let mut outcome = Ok(());
        for operation in operations {
            outcome = run.step(operation).await;
            if outcome.is_err() {
                break;
            }
        }
        if outcome.is_ok() {
            outcome = run.finish().await;
        }
        outcome.map_err(|wrong| format!("{}\n  => {wrong}", run.story.join("\n")))
    })
}

fn case_of(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config =
        Config { cases: 1, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

#[test]
fn whatever_happens_every_client_sees_what_the_model_says() {
    let first = number("MODEL_SEED", 0);
    for seed in first..first + number("MODEL_CASES", CASES) {
        let outcome = case_of(seed)
            .run(&operation::story(), |operations| try_case(&operations).map_err(TestCaseError::fail));
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(story, operations)) => panic!(
                "case {seed} went wrong (again with MODEL_SEED={seed} MODEL_CASES=1); at its shortest:\n\
                 {story}\n\nthe operations were {operations:#?}"
            ),
            Err(other) => panic!("case {seed}: {other}"),
        }
    }
}
