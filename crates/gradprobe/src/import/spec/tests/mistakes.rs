//! Every mistake is named, with its place and, where one is near, the right word.

use super::{blamed, error};
use crate::import::spec::{Network, SpecErrorKind, Specification};
use std::fs;
use std::path::{Path, PathBuf};

/// A specification, what is to be said about it, and the text to be pointed at.
type Case = (&'static str, &'static str, &'static str);

fn check(cases: &[Case]) {
    for (text, message, place) in cases {
        let (got, at) = blamed(text);
        assert_eq!(&got, message, "in:\n{text}");
        assert_eq!(&at, place, "in:\n{text}\nfor: {got}");
    }
}

#[test]
fn misspelt_keys_and_names_get_a_suggestion() {
    check(&[
        (
            "input = 4\nlayers = [{ linear = 4, actvation = \"tanh\" }]",
            "2:25: unknown key `actvation` in layers[0]; did you mean `activation`?",
            "actvation",
        ),
        (
            "input = 4\nlayers = [{ linear = 4, activation = \"tahn\" }]",
            "2:38: unknown activation `tahn`; did you mean `tanh`?",
            "\"tahn\"",
        ),
        (
            "input = 4\nlayers = [{ linear = 4, init = \"xaver-normal\" }]",
            "2:32: unknown initialiser `xaver-normal`; did you mean `xavier-normal`?",
            "\"xaver-normal\"",
        ),
        (
            "input = 4\nlayers = [{ liner = 4 }]",
            "2:13: unknown key `liner` in layers[0]; did you mean `linear`?",
            "liner",
        ),
        (
            "input = 4\nlayers = [\"flaten\"]",
            "2:11: unknown layer `flaten`; did you mean `flatten`?",
            "\"flaten\"",
        ),
        (
            "input = 4\nlayers = [\"tanh\"]\nloss = \"crossentropy\"",
            "3:8: `loss`: expected `cross-entropy`, `bce-with-logits`, `mse`, `l1`, `huber`, \
             `output` or `random-cotangent`, got the string `crossentropy`; did you mean \
             `cross-entropy`?",
            "\"crossentropy\"",
        ),
        (
            "inptu = 4\nlayers = [\"tanh\"]",
            "1:1: unknown key `inptu` in the file; did you mean `input`?",
            "inptu",
        ),
        (
            "input = 4\nlayers = [\"tanh\"]\n[optimizer]\nname = \"adma\"",
            "4:8: `name`: expected `sgd`, `momentum`, `adam` or `adamw`, got the string `adma`; \
             did you mean `adam`?",
            "\"adma\"",
        ),
        (
            "input = 4\nlayers = [\"tanh\"]\n[loss]\nname = \"mse\"\ndelta = 1",
            "5:1: unknown key `delta` in [loss]; expected `classes`, `name`, `reduction` or \
             `targets`",
            "delta",
        ),
        (
            "input = 4\nlayers = [{ linear = 4, init = { name = \"normal\", sigma = 1 } }]",
            "2:51: unknown key `sigma` in initialiser `normal`; did you mean `sigma_w`?",
            "sigma",
        ),
    ]);
}

#[test]
fn keys_in_the_wrong_table_are_sent_to_the_right_one() {
    check(&[
        (
            "input = 4\n[loss]\nname = \"mse\"\nlayers = [\"tanh\"]",
            "4:1: `layers` stands under [loss]; move it above the first [table]",
            "layers",
        ),
        (
            "input = 4\nlayers = [\"tanh\"]\n[optimiser]\nname = \"sgd\"\nbatch = 3",
            "5:1: unknown key `batch` in [optimiser]; `batch` belongs at the top of the file, \
             above the first [table]",
            "batch",
        ),
        (
            "input = 4\nlayers = [\"tanh\"]\nlearning_rate = 0.1",
            "3:1: unknown key `learning_rate` in the file; it belongs under [optimiser]",
            "learning_rate",
        ),
        (
            "layers = [\"tanh\"]\n[input]\nshape = 4\nstandardise = \"global\"",
            "4:1: unknown key `standardise` in [input]; it needs a file: data = \"file.csv\"",
            "standardise",
        ),
        (
            "input = 4\nlayers = [{ type = \"linear\", units = 4 }]",
            "2:13: layers[0] does not say what layer it is; write the type as the key: linear = \
             64 rather than type = \"linear\", units = 64",
            "type",
        ),
    ]);
}

#[test]
fn wrong_types_and_values_say_what_was_expected() {
    check(&[
        (
            "input = 4\nlayers = [{ linear = 0 }]",
            "2:22: `linear`: expected a whole number of at least 1, got `0`",
            "0",
        ),
        (
            "input = 4\nlayers = [{ linear = -3 }]",
            "2:22: `linear`: expected a whole number of at least 1, got `-3`",
            "-3",
        ),
        (
            "input = 4\nlayers = [{ linear = \"ten\" }]",
            "2:22: `linear`: expected a whole number of at least 1, got the string `ten`",
            "\"ten\"",
        ),
        (
            "input = 4\nlayers = [{ linear = 2.5 }]",
            "2:22: `linear`: expected a whole number of at least 1, got `2.5`",
            "2.5",
        ),
        (
            "input = 4\nlayers = [{ linear = 99999999999999999999 }]",
            "2:22: `linear`: expected a size of at most 1099511627776, got `99999999999999999999`",
            "99999999999999999999",
        ),
        (
            "input = [0]\nlayers = [\"tanh\"]",
            "1:10: `input`: expected a whole number of at least 1, got `0`",
            "0",
        ),
        (
            "input = 4\nlayers = [\"tanh\"]\n[optimiser]\nname = \"sgd\"\nlearning_rate = nan",
            "5:17: `learning_rate`: expected a finite number, got `nan`",
            "nan",
        ),
        (
            "input = 4\nlayers = [{ linear = 4, init = { name = \"constant\", value = inf } }]",
            "2:61: `value`: expected a finite number, got `inf`",
            "inf",
        ),
        (
            "input = 4\nlayers = [{ linear = 4, init = \"constant\" }]",
            "2:32: `constant` needs `value`; write init = { name = \"constant\", value = … }",
            "\"constant\"",
        ),
        (
            "input = 4\nlayers = [{ dropout = 1.5 }]",
            "2:23: `dropout`: expected a probability from 0 to below 1, got `1.5`",
            "1.5",
        ),
        (
            "input = 4\nlayers = 3",
            "2:10: `layers`: expected a list of layers such as [{ linear = 10 }, \"flatten\"], got \
             `3`",
            "3",
        ),
        (
            "input = 4\nlayers = []",
            "2:10: `layers`: expected at least one layer, got an array",
            "[]",
        ),
        (
            "input = 4\nlayers = [{ linear = 4, activation = true }]",
            "2:38: `activation`: expected the name of an activation, got `true`",
            "true",
        ),
        (
            "input = 4\nlayers = [\"tanh\"]\nseeds = 0",
            "3:9: `seeds`: expected a whole number from 1 to 10000, got `0`",
            "0",
        ),
        (
            "input = 4\nlayers = [\"tanh\"]\nbatch = 0",
            "3:9: `batch`: expected a whole number of at least 1, got `0`",
            "0",
        ),
        (
            "input = 4\nlayers = [\"tanh\"]\nmax_memory = \"8 apples\"",
            "3:14: `max_memory`: expected a number of bytes, or a string such as \"8 GiB\", got \
             the string `8 apples`",
            "\"8 apples\"",
        ),
        (
            "input = 4\nlayers = [{ linear = 4, conv = 3 }]",
            "2:25: layers[0] is both `linear` and `conv`; write two layers",
            "conv",
        ),
        (
            "input = 4\nlayers = [{ repeat = 3 }]",
            "2:13: layers[0] does not say what to repeat; add layers = [ … ], or a layer such as \
             linear = 64",
            "repeat",
        ),
        (
            "input = 4\nlayers = [{ linear = 4, init = { name = \"normal\", sigma_w = 1, sigma_w2 = 1 } }]",
            "2:64: `sigma_w` and `sigma_w2` exclude each other in initialiser `normal`",
            "sigma_w2",
        ),
        (
            "input = 4\nlayers = [{ linear = 4, init = { name = \"uniform\", low = 2, high = 1 } }]",
            "2:52: low = 2 is not below high = 1 in initialiser `uniform`",
            "low",
        ),
        (
            "input = 4\nmax-memory = 1\nmax_memory = 2\nlayers = [\"tanh\"]",
            "3:1: `max_memory` is given twice",
            "max_memory",
        ),
        (
            "input = 4\nlayers = [{ linear = 4, activation = \"leaky-relu=x\" }]",
            "2:38: activation `leaky-relu`: slope is `x`, expected a finite number",
            "\"leaky-relu=x\"",
        ),
    ]);
}

#[test]
fn layers_that_do_not_fit_name_the_layer_and_both_shapes() {
    check(&[
        (
            "input = 4\nlayers = [{ linear = 4 }, { conv = 3, kernel = 3 }]",
            "2:27: conv layer `conv1`: expected rows of shape [channels, height, width], got [4]; \
             give [input] a shape of three extents, or add a reshape before it",
            "{ conv = 3, kernel = 3 }",
        ),
        (
            "input = [3, 8, 8]\nlayers = [{ linear = 4 }]",
            "2:11: linear layer `fc1`: expected rows of features, got an image of shape [3, 8, \
             8]; add \"flatten\" before it",
            "{ linear = 4 }",
        ),
        (
            "input = 4\nlayers = [{ residual = [{ linear = 5 }] }]",
            "2:11: residual block `block1` begins with rows of shape [4], its branch ends with \
             [5]: they cannot be added; make them alike, or add shortcut = \"projection\"",
            "{ residual = [{ linear = 5 }] }",
        ),
        (
            "input = [6, 8, 8]\nlayers = [{ conv = 4, kernel = 3, groups = 4 }]",
            "2:11: conv layer `conv1`: groups = 4 does not divide 6 input and 4 output channels",
            "{ conv = 4, kernel = 3, groups = 4 }",
        ),
        (
            "input = 4\nlayers = [{ name = \"x\", linear = 4 }, { name = \"x\", linear = 4 }]",
            "2:39: the name `x` is used twice, first by layers[0]",
            "{ name = \"x\", linear = 4 }",
        ),
        (
            "input = 4\nlayers = [{ linear = 4 }]\nloss = { name = \"cross-entropy\", classes = 10 }",
            "3:8: [loss] says classes = 10, but the network has 4 outputs; make the last layer \
             that wide",
            "{ name = \"cross-entropy\", classes = 10 }",
        ),
        (
            "input = 4\nlayers = [{ linear = 4 }]\nloss = { name = \"cross-entropy\", targets = 4 }",
            "3:8: targets = 4: expected a class from 0 to 3",
            "{ name = \"cross-entropy\", targets = 4 }",
        ),
    ]);
}

#[test]
fn sizes_are_refused_before_anything_is_allocated() {
    let (message, place) = blamed("input = 4\nlayers = [{ repeat = 1000000000, linear = 4 }]");
    assert_eq!(
        message,
        "2:11: the network has 1000000000 layers, more than the limit of 200000"
    );
    assert_eq!(place, "{ repeat = 1000000000, linear = 4 }");
    let nested = "input = 4\nlayers = [{ repeat = 9000000000000000000, layers = [{ repeat = \
                  9000000000000000000, layers = [\"tanh\"] }] }]";
    assert_eq!(error(nested).kind, SpecErrorKind::TooLarge);
    let wide = "input = 1000000\nmax_memory = \"1 GiB\"\nlayers = [{ linear = 10 }, { linear = 1000000000 }]";
    let error = error(wide);
    assert_eq!(error.kind, SpecErrorKind::TooLarge);
    let (message, place) = blamed(wide);
    assert_eq!(
        message,
        "3:28: the network up to here needs 37.5 GiB for weights and signals, more than the limit \
         of 1.0 GiB; make it or the batch smaller, or set max_memory at the top of the file"
    );
    assert_eq!(place, "{ linear = 1000000000 }");
    for text in [
        "input = [1000000000, 1000000000, 1000000000]\nlayers = [\"tanh\"]",
        "input = 4\nbatch = 1000000000000\nlayers = [\"tanh\"]",
        "input = 1000000000000\nlayers = [{ linear = 1000000000000 }]",
        "input = [1, 8, 8]\nlayers = [{ conv = 1000000000000, kernel = 65536, padding = 65536 }]",
    ] {
        assert_eq!(super::error(text).kind, SpecErrorKind::TooLarge, "{text}");
    }
}

#[test]
fn texts_that_are_no_specification_are_refused() {
    check(&[
        (
            "",
            "1:1: the file needs `input`: a shape or a data file, e.g. input = { shape = [784] }",
            "",
        ),
        (
            "input = 4\nlayers = [",
            "2:11: unclosed array, expected `]`",
            "",
        ),
    ]);
    for text in [
        "{\"a\": 1}",
        "\0\0\0",
        "a = = b",
        "[[[",
        "input = 4\ninput = 5",
        "\u{feff}x",
    ] {
        assert!(!error(text).message.contains('\n'), "{text:?}");
    }
    // Deep nesting must not overflow the stack.
    let deep = format!(
        "input = 4\nlayers = {}1{}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(matches!(
        error(&deep).kind,
        SpecErrorKind::Syntax | SpecErrorKind::WrongType
    ));
    let blocks = format!(
        "input = 4\nlayers = {}\"tanh\"{}",
        "[{ residual = ".repeat(30),
        " }]".repeat(30)
    );
    assert!(matches!(
        error(&blocks).kind,
        SpecErrorKind::Syntax | SpecErrorKind::Value | SpecErrorKind::WrongType
    ));
}

/// A folder of its own, removed afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gradprobe-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// What is said about a file, with this folder's name left out.
    fn message(&self, path: &Path) -> String {
        let error = Network::read(path).expect_err("a bad file").to_string();
        error.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_that_cannot_be_read_say_so() {
    let folder = Folder::new("unreadable");
    assert_eq!(
        folder.message(&folder.0.join("none.toml")),
        "none.toml: cannot read the file: no such file"
    );
    let directory = Network::read(&folder.0).expect_err("a folder").to_string();
    assert!(
        directory.ends_with("cannot read the file: it is a directory"),
        "{directory}"
    );
    let latin = folder.write("latin.toml", b"input = 4\nname = \"caf\xe9\"\n");
    assert_eq!(
        folder.message(&latin),
        "latin.toml: cannot read the file: line 2 is not UTF-8 text"
    );
    let huge = folder.write("huge.toml", vec![b'#'; (1 << 24) + 1]);
    assert_eq!(
        folder.message(&huge),
        "huge.toml: cannot read the file: it is longer than 16777216 bytes"
    );
}

#[test]
fn mistakes_in_the_data_are_named_by_the_data_files_line() {
    let folder = Folder::new("data");
    let network = |data: &str, rest: &str| {
        let text = format!(
            "batch = 2\nloss = \"cross-entropy\"\nlayers = [{{ linear = 3 }}]\n[input]\ndata = \
             \"{data}\"\n{rest}"
        );
        folder.write("network.toml", text)
    };
    folder.write("good.csv", "a,b,class\n1,2,0\n3,4,2\n5,6,1\n");
    folder.write("ragged.csv", "1,2,0\n3,4\n");
    folder.write("nan.csv", "1,2,0\n3,NaN,1\n");
    folder.write("classes.csv", "1,2,0\n3,4,3\n");
    folder.write("empty.csv", "");
    folder.write("narrow.csv", "0\n1\n");
    let message = |data: &str, rest: &str| folder.message(&network(data, rest));
    assert!(Network::read(&network("good.csv", "")).is_ok());
    for (data, rest, expected) in [
        (
            "none.csv",
            "",
            "network.toml:5:8: cannot read `none.csv`: no such file; the path is looked up \
             from the folder of the file that names it",
        ),
        (
            "ragged.csv",
            "",
            "network.toml:5:8: `ragged.csv`, line 2: expected 3 columns as in line 1, got 2; every \
             row needs as many fields as the first",
        ),
        (
            "nan.csv",
            "",
            "network.toml:5:8: `nan.csv`, line 2, column 2: expected a finite number, got `NaN`; \
             fill the value in, or leave the row out",
        ),
        (
            "classes.csv",
            "",
            "network.toml:2:8: `classes.csv`, line 2, column 3: expected a class from 0 to 2, got 3",
        ),
        (
            "empty.csv",
            "",
            "network.toml:5:8: `empty.csv` holds no rows of numbers",
        ),
        (
            "narrow.csv",
            "",
            "network.toml:5:8: `narrow.csv` has only the target's column, no inputs",
        ),
        (
            "good.csv",
            "target = \"klass\"",
            "network.toml:6:10: `good.csv` has no column `klass`: there are `a`, `b`, `class`",
        ),
        (
            "good.csv",
            "shape = [1, 3]",
            "network.toml:4:1: shape [1, 3] holds 3 numbers, but the data file has 2 input columns",
        ),
        (
            "good.csv",
            "target = \"none\"",
            "network.toml:2:8: the loss needs targets, but the data file has no column for them; \
             name the column under [input], e.g. target = \"last\", or set targets = \"random\"",
        ),
    ] {
        assert_eq!(message(data, rest), expected);
    }
    let large = network("good.csv", "");
    let text = fs::read_to_string(&large)
        .expect("written")
        .replace("batch = 2", "batch = 4");
    assert_eq!(
        folder.message(&folder.write("large.toml", text)),
        "large.toml:5:8: a batch of 4 rows was asked for, but `good.csv` has 3; lower `batch`"
    );
}

#[test]
fn a_place_counts_characters_and_lines() {
    let error = Specification::parse("input = 4 # ü\nlayers = [\"é\"]");
    let error = error.expect_err("no such layer");
    assert_eq!(error.line_and_column(), Some((2, 11)));
    let error = Specification::parse("input = 4\nlayers = [{ name = \"é\", linaer = 3 }]");
    let error = error.expect_err("no such key");
    assert_eq!(error.line_and_column(), Some((2, 25)));
}
