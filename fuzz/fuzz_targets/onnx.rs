//! Any bytes as an ONNX model: a result or one clear error, in bounded memory.
//!
//! ```text
//! cargo +nightly fuzz run --strip-dead-code onnx fuzz/corpus/onnx fuzz/seeds -- -max_len=65536 -rss_limit_mb=2048
//! ```

#![no_main]

use gradprobe::check::check;
use gradprobe::import::onnx::{OnnxNetwork, OnnxOptions};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let options = OnnxOptions {
        max_memory: Some(16 << 20),
        ..OnnxOptions::default()
    };
    // No such folder: there are no external data to be read.
    let path = Path::new("no-such-folder/model.onnx");
    match OnnxNetwork::from_bytes(path, bytes.to_vec(), &options) {
        Ok(network) => {
            if let Err(error) = check(&network, 1, &mut |_| {}) {
                assert_is_one_line(&error.to_string());
            }
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("model.onnx"), "{error}");
            assert_is_one_line(&error);
        }
    }
});

fn assert_is_one_line(message: &str) {
    assert!(!message.is_empty());
    assert!(!message.chars().any(char::is_control), "{message:?}");
}
