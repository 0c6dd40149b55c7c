//! Options that contradict each other or the machine.

use super::{TWO, refused};
use crate::support::Place;

#[test]
fn budgets_that_cannot_hold_a_sequence() {
    let place = Place::new();
    place.write("two.fa", TWO);
    let said = [
        "a token budget of 1023 cannot hold a sequence of 1024 tokens",
        "hint: the smallest budget that works is 1024",
    ];
    refused(&place, &["two.fa", "--token-budget", "1023"], &said);
    // At the start: before the model is searched for.
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
            &[" do not hold the model and a batch of ", "hint: ", "lower --max-length"],
        );
    }
    refused(&place, &["two.fa", "--max-length", "0"], &["must be at least 1 residue", "hint: "]);
}

/// A number below 0 is the option's value, and the message says what it may be.
#[test]
fn negative_numbers() {
    let place = Place::new();
    place.write("two.fa", TWO).write("in.fa", ">a\nGCC\n");
    for option in ["--max-length", "--min-length", "--window-overlap"] {
        for number in ["-1", "-5.5", "4k"] {
            let said = [&*format!("'{number}' for '{option} <N>'"), "expected a whole number, 0 or more"];
            refused(&place, &["two.fa", option, number], &said);
        }
    }
    refused(&place, &["two.fa", "--token-budget", "-5"], &["expected a number of tokens, or `auto`"]);
    for option in ["--buffer-size", "--threads", "--log-interval", "--device-timeout", "--checkpoint-records"]
    {
        refused(&place, &["two.fa", option, "-1"], &[option, "expected a whole number, at least 1"]);
    }
    for option in ["--min-score", "--min-chunk-score"] {
        let ran = place.run(&["predict", "in.fa", "-o", "out/v", option, "-0.5"]);
        ran.is_refused(&[&format!("{option} must be between 0 and 1, and is -0.5")]);
    }
    for share in ["-0.1", "0", "1", "1.5", "half"] {
        place
            .run(&["predict", "in.fa", "-o", "out/v", "--prevalence", share])
            .is_refused(&["expected a share of more than 0 and less than 1"]);
    }
    for option in ["--length", "--genetic-code"] {
        place.run(&["frames", "in.fa", "-o", "out/x", option, "-1"]).is_refused(&["'-1' for", "expected"]);
    }
    place.run(&["pack", "two.fa", "--token-budget", "-1"]).is_refused(&["'-1' for", "0 or more"]);
    let validate = ["validate", "two.fa", "--model", crate::support::MODEL, "--worst", "-1"];
    place.run(&validate).is_refused(&["'-1' for", "0 or more"]);
    place.run(&["bench", "--shape", "8M", "--seconds", "-1"]).is_refused(&["'-1' for", "expected"]);
    assert_eq!(place.outputs(), [""; 0]);
    // The name of an option is not a value.
    place.run(&["embed", "two.fa", "-o", "--force"]).is_refused(&["a value is required for '--output"]);
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
