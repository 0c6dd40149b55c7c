//! Options that fit neither each other nor the machine.

use crate::support::Place;
use crate::{TWO, refused};

#[test]
fn budgets_that_cannot_hold_a_sequence() {
    let place = Place::new();
    place.write("two.fa", TWO);
    let said = [
        "a token budget of 1023 cannot hold a sequence of 1024 tokens",
        "hint: the smallest budget that works is 1024",
    ];
    refused(&place, &["two.fa", "--token-budget", "1023"], &said);
    // At the start: before the model is looked for.
    let early = ["embed", "two.fa", "-o", "out/emb.npy", "-m", "none", "--token-budget"];
    place.run(&[&early[..], &["1023"]].concat()).is_refused(&said);
    refused(&place, &["two.fa", "--token-budget", "0"], &["hint: the smallest budget that works is 1024"]);
    refused(&place, &["two.fa", "--token-budget", "51", "--max-length", "50"], &["works is 52"]);
    refused(&place, &["two.fa", "--token-budget", "99999999999"], &["too large", "hint: "]);
    refused(&place, &["two.fa", "--token-budget", "4k"], &["expected a number of tokens, or `auto`"]);
    place.run(&["pack", "two.fa", "--token-budget", "1023"]).is_refused(&said);
    place.embed(&["two.fa", "-o", "out/emb.npy", "--token-budget", "1024"]).succeeds(&[]);
}

#[test]
fn lengths_that_no_machine_holds() {
    let place = Place::new();
    place.write("two.fa", TWO);
    for length in ["9000000000000", "9223372036854775807", "18446744073709551613", "18446744073709551615"] {
        refused(
            &place,
            &["two.fa", "--max-length", length],
            &["of free memory do not hold", "hint: ", "lower --max-length"],
        );
    }
    refused(&place, &["two.fa", "--max-length", "0"], &["lets nothing through", "hint: "]);
}

#[test]
fn options_out_of_range() {
    let place = Place::new();
    place.write("two.fa", TWO);
    for layer in ["3", "-4", "99", "-9223372036854775808", "9223372036854775807"] {
        refused(
            &place,
            &["two.fa", "--layer", layer],
            &[&format!("no layer {layer}: the model has 2"), "hint: "],
        );
    }
    refused(&place, &["two.fa", "--threads", "0"], &["'--threads <N>'", "at least 1"]);
    refused(&place, &["two.fa", "--threads", "1000000"], &["cannot start 1000000 threads", "hint: "]);
    refused(&place, &["two.fa", "--buffer-size", "0"], &["'--buffer-size <N>'", "at least 1"]);
    let window = |more: &[&'static str]| [&["two.fa", "--window-overlap", "512"], more].concat();
    refused(
        &place,
        &window(&["--long-records", "window"]),
        &["cannot overlap by 512", "hint: the most is half of --max-length, 511"],
    );
    refused(&place, &window(&[]), &["--window-overlap does nothing", "hint: add --long-records window"]);
    place.run(&["pack", "two.fa", "--window-overlap", "9"]).is_refused(&["--window-overlap does nothing"]);
    refused(&place, &[], &["<INPUT>"]);
    refused(&place, &["two.fa", "--pool", "median"], &["possible values: mean, cls, max"]);
}
