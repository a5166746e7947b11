//! Parquet, which builds with the feature `parquet` read and others name. testdata/parquet.py has written the files.

use crate::harness::{Folder, Output, testdata};

fn file(name: &str) -> String {
    testdata(&format!("parquet/{name}")).to_str().unwrap().to_owned()
}

fn load(folder: &Folder, file: &str, flags: &[&str]) -> Output {
    folder.dfwfd(["load", file, "--workload", "news", "--format", "json"]).args(flags).run()
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_is_named_with_the_build_that_reads_it() {
    let folder = Folder::new();
    folder.write("news.jsonl", std::fs::read(file("structs.parquet")).unwrap());
    let split = folder.dfwfd(["split", "--logs", &file("structs.parquet"), "--out", "out"]).run();
    for output in [load(&folder, &file("structs.parquet"), &[]), load(&folder, "news.jsonl", &[]), split] {
        output.code(6).says("it is Parquet, and this dfwfd was built without it").says("--features parquet").hints();
    }
}

#[cfg(feature = "parquet")]
mod read {
    use serde_json::{Value, json};

    use super::*;
    use crate::harness::{files_below, parse_lines};

    fn stored(folder: &Folder) -> Vec<Value> {
        let segments = files_below(&folder.at(".dfwfd/logs")).into_iter();
        let segments = segments.filter(|(path, _)| path.extension().is_some_and(|ending| ending == "jsonl"));
        segments.flat_map(|(_, bytes)| parse_lines(&String::from_utf8(bytes).unwrap())).collect()
    }

    /// The datasets, without the manifest.
    fn datasets(folder: &Folder, logs: &str, input: &[u8], out: &str) -> Value {
        let rules = ["--set", "data_split_config.eval_size=5", "--set", "data_split_config.min_total_records=10"];
        let split = folder.dfwfd(["split", "--format", "json", "--workload", "news", "--logs", logs, "--out", out]);
        let output = split.args(rules).input(input).run();
        let data = output.code(0).json()["data"].clone();
        assert_eq!(
            (&data["read"], &data["kept"], &data["rejected"]["no_response"]),
            (&json!(40), &json!(37), &json!(3))
        );
        data["files"].clone()
    }

    #[test]
    fn rows_are_the_records_that_the_same_lines_of_json_are() {
        let folder = Folder::new();
        let wanted = datasets(&folder, &file("structs.jsonl"), b"", "lines");
        let parquet = std::fs::read(file("structs.parquet")).unwrap();
        assert_eq!(datasets(&folder, &file("structs.parquet"), b"", "file"), wanted);
        assert_eq!(datasets(&folder, "-", &parquet, "stdin"), wanted);
        folder.write("packed.gz", zstd::encode_all(parquet.as_slice(), 1).unwrap());
        assert_eq!(datasets(&folder, "packed.gz", b"", "packed"), wanted);
        let manifest: Value = serde_json::from_str(&folder.read("file/manifest.json")).unwrap();
        assert_eq!(manifest["inputs"][0]["bytes"], parquet.len(), "{manifest}");
        let loaded = load(&folder, &file("structs.jsonl"), &[]).code(0).json()["data"].clone();
        assert_eq!((&loaded["added"], &loaded["rejected"]), (&json!(37), &json!({"no_response": 3})));
        // Requests and responses as JSON text, and times without a zone in nanoseconds.
        for name in ["structs.parquet", "texts.parquet"] {
            let data = load(&folder, &file(name), &[]).code(0).json()["data"].clone();
            assert_eq!(
                (&data["read"], &data["present"], &data["added"]),
                (&json!(40), &json!(37), &json!(0)),
                "{name}"
            );
        }
    }

    #[test]
    fn exports_chat_rows_and_tables_are_read() {
        for (name, flags, added) in [
            ("langfuse.parquet", &["--from", "langfuse"][..], 37),
            ("chat.parquet", &["--encoding", "latin1"], 37),
            ("table.parquet", &["--delimiter", ";", "--no-header"], 40),
        ] {
            let folder = Folder::new();
            let data = load(&folder, &file(name), flags).code(0).json()["data"].clone();
            assert_eq!(data["added"], added, "{name}: {data}");
        }
        let folder = Folder::new();
        load(&folder, &file("table.parquet"), &[]).code(0).says("the text is column headline, the label column event");
        let told = &stored(&folder)[0];
        assert_eq!(told["request"]["messages"][1]["content"], "Qa Corp profit beat forecasts");
        assert_eq!(told["response"]["choices"][0]["message"]["content"], "[[[0]]]");
        assert_eq!(told["timestamp"], 1_714_557_600);
        load(&folder, &file("table.parquet"), &["--text-column", "title"]).code(2).says("no column title").hints();
    }

    #[test]
    fn values_of_every_type_are_read_as_documented() {
        let folder = Folder::new();
        load(&folder, &file("odd.parquet"), &[]).code(0);
        let mut told = stored(&folder).remove(0);
        let told = told.as_object_mut().unwrap();
        for key in ["request", "response", "client_id", "workload_id"] {
            told.remove(key);
        }
        let wanted = json!({
            "timestamp": 1_714_557_600, "date": "2024-02-29", "early": "1969-12-31", "price": -0.05, "whole": 7, "nan": null,
            "text": "caf\u{e9}", "bytes": "/wA=", "map": {"a": 1, "b": null}, "list": [1, null, 3], "big": 1_u64 << 63,
            "clock": 45_000_000_000_u64, "yes": true,
        });
        assert_eq!(json!(told), wanted);
        load(&folder, &file("brotli.parquet"), &[])
            .code(6)
            .says("Parquet compressed with Brotli, which is not")
            .hints();
    }

    #[test]
    fn damaged_files_are_named_and_the_rows_before_the_damage_kept() {
        let folder = Folder::new();
        let whole = std::fs::read(file("structs.parquet")).unwrap();
        for cut in [4, 100, whole.len() - 1] {
            folder.write("cut.parquet", &whole[..cut]);
            load(&folder, "cut.parquet", &[]).code(6).says("the Parquet data is cut off or damaged").hints();
        }
        let mut dice = 1_u64;
        let mut spoiled = 0;
        for _ in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..4 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (dice >> 33) as usize % bytes.len();
                bytes[at] = (dice >> 20) as u8;
            }
            folder.write("spoiled.parquet", bytes);
            let output = load(&folder, "spoiled.parquet", &[]);
            assert!(matches!(output.code, Some(0 | 2 | 6)) && !output.stderr.contains("panicked"), "{output}");
            spoiled += usize::from(output.code == Some(6));
        }
        assert!(spoiled > 10, "{spoiled} of 60");
    }
}
