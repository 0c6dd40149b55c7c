//! Inputs by URL: an object gives the same results as the file.

use crate::support::{MODEL, PROTEINS, Place, Ran};
use server::{Fault, Server};
use std::fs;

#[path = "../../../virpack-store/tests/support/server.rs"]
pub(crate) mod server;

#[path = "../../../virpack-store/tests/support/tls.rs"]
mod tls;

const CONTIGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/contigs.fasta");

/// Returns this number of proteins.
fn proteins(records: usize) -> String {
    let letters = "MKTAYIAKJRLLGGTSPEDWNCFV".repeat(5);
    (0..records).map(|i| format!(">p{i}\n{}\n", &letters[i % 24..][..1 + i * 31 % 90])).collect()
}

impl Place {
    /// `virpack`, with the credentials of a store at the server.
    pub(crate) fn with_store(&self, server: &Server, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        for variable in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_SKIP_SIGNATURE"] {
            command.env_remove(variable);
        }
        command.env("AWS_ENDPOINT_URL", server.url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "me").env("AWS_SECRET_ACCESS_KEY", "very-secret");
        let ran = Ran::of(command);
        assert!(!format!("{ran:?}").contains("very-secret"), "{ran:?}");
        ran
    }

    #[track_caller]
    fn expect_same_file(&self, one: &str, other: &str) {
        assert!(fs::read(self.path(one)).unwrap() == fs::read(self.path(other)).unwrap(), "{one}, {other}");
    }
}

#[test]
fn an_object_gives_what_the_file_gives() {
    let (place, server) = (Place::new(), Server::start());
    server.put("/b/p.fa", fs::read(PROTEINS).unwrap()).put("/b/dir/c.fa", fs::read(CONTIGS).unwrap());
    server.state().faults.push_back(Fault::Busy);
    let http = format!("{}/b/p.fa?X-Amz-Signature=very-secret", server.url());
    place.embed(&[PROTEINS, "-o", "out/file.npy"]).succeeds(&[]);
    for (input, output) in [("s3://b/p.fa", "out/s3.npy"), (&http, "out/http.npy")] {
        let arguments = ["embed", "--model", MODEL, input, "-o", output];
        place.with_store(&server, &arguments).succeeds(&["4 sequences"]);
        place.expect_same_file("out/file.npy", output);
    }
    let told = place.read("out/http.npy.run.json");
    assert!(told.contains("/b/p.fa\"") && !told.contains("very-secret"), "{told}");
    // Without a model, the letters choose it.
    place.with_store(&server, &["embed", "s3://b/dir/c.fa", "-o", "out/c.npy"]).succeeds(&["nucleotide"]);
    place.run(&["predict", CONTIGS, "-o", "out/run"]).succeeds(&[]);
    place.with_store(&server, &["predict", "s3://b/dir/c.fa", "-o", "out/of-s3"]).succeeds(&[]);
    place.expect_same_file("out/run/frames.tsv", "out/of-s3/frames.tsv");
    place.with_store(&server, &["report", "out/of-s3", "--relaxed"]).succeeds(&["judged again"]);
    place.run(&["report", "out/run", "--relaxed"]).succeeds(&[]);
    place.expect_same_file("out/run/viral.fna", "out/of-s3/viral.fna");
}

#[test]
fn parts_of_a_plan_read_their_own_bytes_of_an_object() {
    let (place, server) = (Place::new(), Server::start());
    let text = proteins(600);
    place.write("a.fa", &text);
    server.put("/bucket/a.fa", &text);
    place.embed(&["a.fa", "-o", "out/whole.npy"]).succeeds(&[]);
    let store = |arguments: &[&str]| place.with_store(&server, arguments);
    let sent = || server.state().sent.drain(..).map(|(_, bytes)| bytes).sum::<u64>();
    let plan = ["plan", "--model", MODEL, "s3://bucket/a.fa", "-o", "out/plan", "--part-tokens", "3000"];
    store(&plan).succeeds(&["parts of 600 records"]);
    assert_eq!(sent(), text.len() as u64, "a plan reads its input once");
    server.state().faults.extend([Fault::Busy, Fault::Torn]);
    store(&["embed", "--plan", "out/plan", "--part", "2/2"]).succeeds(&[]);
    store(&["embed", "--plan", "out/plan"]).succeeds(&[]);
    assert_eq!(sent(), text.len() as u64, "parts read the input once, all together");
    store(&["commit", "out/plan", "-o", "out/joined.npy"]).succeeds(&[]);
    place.expect_same_file("out/whole.npy", "out/joined.npy");
    // Another object with that name.
    fs::remove_file(place.path("out/plan/_parts/000002.json")).unwrap();
    server.put("/bucket/a.fa", text.replacen(">p1\n", ">q1\n", 1));
    let changed = ["s3://bucket/a.fa", "the input changed since the plan was made"];
    store(&["embed", "--plan", "out/plan"]).succeeds(&[]);
    fs::remove_file(place.path("out/plan/_parts/000001.json")).unwrap();
    store(&["embed", "--plan", "out/plan"]).is_refused(&changed);
    server.put("/bucket/a.fa", &text[1..]);
    store(&["embed", "--plan", "out/plan"]).is_refused(&changed);
}

#[test]
fn what_keeps_an_object_from_being_read_is_one_line_with_a_hint() {
    let (place, server) = (Place::new(), Server::start());
    server.put("/b/p.fa", fs::read(PROTEINS).unwrap());
    let embed = |input: &str, more: &[&str]| {
        let arguments = ["embed", "--model", MODEL, input, "-o", "out/x.npy"];
        place.with_store(&server, &[&arguments, more].concat())
    };
    embed("s3://b/q.fa", &[])
        .is_refused(&["error: cannot open s3://b/q.fa: there is no such object", "hint: check the name"]);
    embed("s3://c/p.fa", &[]).is_refused(&[
        "error: cannot open s3://c/p.fa: there is no bucket or container c",
        "hint: check the name",
    ]);
    embed("s3://b", &[])
        .is_refused(&["s3://b: the URL is not complete", "hint: write it as s3://BUCKET/KEY"]);
    embed("s3://b/p.fa", &["--resume"]).is_refused(&["s3://b/p.fa is a pipe, a device, stdin or a URL"]);
    let shard = ["embed", "--model", MODEL, "s3://b/p.fa", "--shard", "1/2", "-o", "out/a.shard"];
    place.with_store(&server, &shard).is_refused(&["s3://b/p.fa is a pipe, a device or a URL"]);
    server.state().refuses = true;
    let refused = embed("s3://b/p.fa", &[]);
    refused.is_refused(&["cannot open s3://b/p.fa: access is refused: ", "hint: check AWS_ACCESS_KEY_ID"]);
    assert_eq!(refused.stderr.lines().count(), 2, "{refused:?}");
    server.state().refuses = false;
    let mut command = place.command(&["embed", "--model", MODEL, "s3://b/p.fa", "-o", "out/x.npy"]);
    // Nothing is sent to the server before credentials are found.
    command.env("AWS_ENDPOINT_URL", server.url()).env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9");
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE"] {
        command.env_remove(variable);
    }
    Ran::of(command)
        .is_refused(&["access is refused: no credentials are set", "hint: check AWS_ACCESS_KEY_ID"]);
    // A machine without keys whose role answers, and a store that does not.
    let mut command = place.command(&["embed", "--model", MODEL, "s3://b/p.fa", "-o", "out/x.npy"]);
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("AWS_SKIP_SIGNATURE", "true");
    command.env_remove("AWS_ACCESS_KEY_ID");
    Ran::of(command).is_refused(&["cannot open s3://b/p.fa: no answer", "hint: check the network"]);
    let signed = format!("{}/b/p.fa?X-Amz-Signature=very-secret", server.url());
    let plan = ["plan", "--model", MODEL, &signed, "-o", "out/plan"];
    place.with_store(&server, &plan).is_refused(&["/b/p.fa: a plan names its inputs, and this URL holds a "]);
    for output in ["https://me:very-secret@h/x.npy", "http://h/x.npy"] {
        let arguments = ["embed", "--model", MODEL, PROTEINS, "-o", output];
        place
            .with_store(&server, &arguments)
            .is_refused(&["x.npy is a URL that cannot be written to", "hint: "]);
    }
    for output in ["s3://b//x.npy", "s3://b/d//x.npy"] {
        let arguments = ["embed", "--model", MODEL, PROTEINS, "-o", output];
        let said =
            ["the key begins or ends with a slash, or has two in a row", "hint: name it without a slash"];
        place.with_store(&server, &arguments).is_refused(&said);
    }
    let onto = ["embed", "--model", MODEL, "s3://b/p.fa", "-o", "S3://b/p.fa", "--format", "npy", "--force"];
    place.with_store(&server, &onto).is_refused(&["is an input too"]);
    let pth = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/predict/300_model.pth");
    let convert = ["models", "convert", pth, "s3://b/model.safetensors"];
    let on_disk = ["is a URL, and this output is written on a disk", "hint: "];
    place.with_store(&server, &convert).is_refused(&on_disk);
    place.run(&["predict", CONTIGS, "-o", "run"]).succeeds(&[]);
    place.run(&["predict", CONTIGS, "-o", "other"]).succeeds(&[]);
    let compare = ["report", "run", "other", "--comparison", "s3://b/page.html"];
    place.with_store(&server, &compare).is_refused(&on_disk);
    let keyed = ["embed", "--model", MODEL, PROTEINS, "-o", "s3://me:very-secret@b/x.npy"];
    place.with_store(&server, &keyed).is_refused(&["s3://b/x.npy is a URL that holds a key", "hint: "]);
    for option in [["--resume", "--quiet"], ["--shard", "1/2"]] {
        let embed = ["embed", "--model", MODEL, PROTEINS, "-o", "s3://b/x.shard", option[0], option[1]];
        place.with_store(&server, &embed).is_refused(&[
            option[0],
            "does not go with an output in a store",
            "hint: `virpack plan",
        ]);
    }
    let predict = ["predict", CONTIGS, "-o", "gs://b/dir"];
    place
        .with_store(&server, &predict)
        .is_refused(&["gs://b/dir is a URL, and this output is written on a disk", "hint: "]);
    assert!(place.outputs().is_empty() && !place.path("s3:").exists());
}

#[test]
fn a_certificate_that_is_not_trusted_is_reported_at_once() {
    let place = Place::new();
    let url = format!("{}/p.fa", tls::server("404 Not Found\r\n"));
    let embed = |input: &str, certificates: Option<&std::path::Path>| {
        let mut command = place.command(&["embed", "--model", MODEL, input, "-o", "out/p.npy"]);
        for variable in
            ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"]
        {
            command.env_remove(variable);
        }
        command.envs(certificates.map(|path| ("SSL_CERT_FILE", path)));
        Ran::of(command)
    };
    let untrusted = ["the server's certificate is not trusted", "set SSL_CERT_FILE to the PEM file"];
    embed(&url, None).is_refused(&untrusted);
    // The answer is accepted, because the authority is trusted.
    embed(&url, Some(&tls::fixture("authority.pem"))).is_refused(&["there is no such object"]);
    for input in [&url, "http://localhost:9/p.fa", "s3://bucket/p.fa"] {
        let said = ["SSL_CERT_FILE gives no certificate to trust", "set it to a PEM file, or unset it"];
        embed(input, Some("/no/such.pem".as_ref())).is_refused(&said);
    }
}
