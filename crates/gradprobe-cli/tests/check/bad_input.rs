//! Bad input of every kind: exit status 2, one message that names the place and says what to do,
//! nothing on stdout, no file left behind, no panic.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// The message of a check that is refused.
fn refused(folder: &Folder, network: &str, parts: &[&str]) -> String {
    let before = std::fs::read_dir(folder.0.path()).unwrap().count();
    let out = folder.path("out.json");
    let output = run(&["check", network, "-o", out.to_str().unwrap()]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(output.stdout.is_empty(), "{message}");
    let errors = message
        .lines()
        .filter(|line| line.starts_with("error"))
        .count();
    assert_eq!(errors, 1, "{message}");
    assert!(!message.contains("panicked"), "{message}");
    assert!(message.lines().count() <= 10, "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    let after = std::fs::read_dir(folder.0.path()).unwrap().count();
    assert_eq!(before, after, "{message}");
    message
}

/// A mistake in the specification, at its place.
fn mistake(network: &str, place: &str, parts: &[&str]) {
    let folder = Folder::with(network);
    let mut all = vec!["network.toml"];
    let place = format!("network.toml:{place}");
    all.push(&place);
    all.extend_from_slice(parts);
    refused(&folder, &folder.network(), &all);
}

/// A mistake in the data file, with the place in it and that of its name.
fn data(contents: impl AsRef<[u8]>, parts: &[&str]) {
    data_file("data.csv", contents, parts);
}

fn data_file(name: &str, contents: impl AsRef<[u8]>, parts: &[&str]) {
    let folder = with_data(name);
    folder.file(name, contents);
    let mut all = vec![name, "network.toml:5:8"];
    all.extend_from_slice(parts);
    refused(&folder, &folder.network(), &all);
}

fn with_data(name: &str) -> Folder {
    Folder::with(&format!(
        "batch = 2\nlayers = [{{ linear = 3 }}]\n\n[input]\ndata = \"{name}\"\n"
    ))
}

fn layers(layer: &str) -> String {
    format!("input = 4\nlayers = [\n  {layer},\n]\n")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_empty_file() {
    mistake("", "1:1", &["`input`", "e.g. input"]);
    mistake("# only a comment\n", "1:1", &["`input`"]);
}

#[test]
fn wrong_types() {
    mistake(
        "input = \"four\"\nlayers = [\"flatten\"]\n",
        "1:9",
        &["expected a table, a width or a shape", "`four`"],
    );
    mistake(
        "input = 4\nlayers = 7\n",
        "2:10",
        &["expected a list of layers"],
    );
    mistake(
        &layers("{ linear = 2.5 }"),
        "3:14",
        &["expected a whole number", "`2.5`"],
    );
    mistake(
        &layers("{ linear = \"64\" }"),
        "3:14",
        &["expected a whole number"],
    );
    mistake(
        "input = 4\nseeds = true\nlayers = [\"flatten\"]\n",
        "2:9",
        &["expected a whole number", "`true`"],
    );
}

#[test]
fn misspelt_names() {
    mistake(
        &layers("{ linear = 4, actvation = \"tanh\" }"),
        "3:17",
        &["`actvation`", "did you mean `activation`?"],
    );
    mistake(
        &layers("{ liner = 4 }"),
        "3:5",
        &["`liner`", "did you mean `linear`?"],
    );
    mistake(
        &layers("\"flaten\""),
        "3:3",
        &["`flaten`", "did you mean `flatten`?"],
    );
    mistake(
        &layers("{ linear = 4, activation = \"tahn\" }"),
        "3:30",
        &["`tahn`", "did you mean `tanh`?"],
    );
    mistake(
        "input = 4\nbtach = 2\nlayers = [\"flatten\"]\n",
        "2:1",
        &["`btach`", "did you mean `batch`?"],
    );
}

#[test]
fn mistakes_of_toml_itself() {
    mistake("input = 4\nlayers = [{ linear 4 }]\n", "2:20", &[]);
    mistake("input = 4\ninput = 5\n", "2:1", &["duplicate"]);
    let nested = format!("input = {}\n", "[".repeat(100_000));
    mistake(&nested, "1:", &["recurs"]);
}

#[test]
fn sizes_that_are_zero_or_absurd() {
    mistake(&layers("{ linear = 0 }"), "3:14", &["at least 1", "`0`"]);
    mistake(
        &layers("{ repeat = 1000000000, linear = 4, activation = \"tanh\" }"),
        "3:3",
        &["1000000000 layers", "limit"],
    );
    mistake(
        &layers("{ repeat = 1000000000, layers = [{ linear = 4 }] }"),
        "3:3",
        &["1000000000 layers", "limit"],
    );
    let terabytes = [
        "needs",
        "more than the limit",
        "make it or the batch smaller",
        "max_memory",
    ];
    mistake(
        &layers("{ linear = 1000000000 },\n  { linear = 1000000000 }"),
        "3:3",
        &terabytes,
    );
    mistake(
        &layers("{ linear = 1000000000000000000 }"),
        "3:14",
        &["at most 1099511627776"],
    );
    mistake(
        &layers("{ linear = 100000000000000000000000 }"),
        "3:14",
        &["at most 1099511627776"],
    );
    mistake(
        "input = 4\nbatch = 1000000000000\nlayers = [{ linear = 4 }]\n",
        "",
        &terabytes,
    );
    mistake(
        "input = 4\nseeds = 1000000000\nlayers = [{ linear = 4 }]\n",
        "2:9",
        &["from 1 to 10000"],
    );
}

#[test]
fn numbers_that_are_none() {
    mistake(
        &layers("{ linear = 4, init = { name = \"constant\", value = nan } }"),
        "3:53",
        &["finite number", "`nan`"],
    );
    mistake(
        &layers("{ linear = 4, init = { name = \"constant\", value = inf } }"),
        "3:53",
        &["finite number", "`inf`"],
    );
    data(
        "1,2,3\n4,nan,6\n",
        &[
            "line 2, column 2",
            "finite number",
            "`nan`",
            "leave the row out",
        ],
    );
    data(
        "1,2,3\n4,5,-inf\n",
        &["line 2, column 3", "finite number", "`-inf`"],
    );
    data(
        "1,2,3\n4,5,1e999\n",
        &["line 2, column 3", "finite number", "`1e999`"],
    );
    data(
        "1,2,3\n4,five,6\n",
        &["line 2, column 2", "expected a number", "`five`"],
    );
    data("1,2,3\n4,,6\n", &["line 2, column 2", "empty field"]);
}

#[test]
fn rows_that_do_not_fit() {
    data(
        "1,2,3\n4,5\n6,7,8\n",
        &[
            "line 2",
            "expected 3 columns as in line 1, got 2",
            "as many fields",
        ],
    );
    data("1,2,3\n", &["a batch of 2 rows", "has 1", "lower `batch`"]);
    data("", &["holds no rows of numbers"]);
    data("a,b,c\n", &["holds no rows of numbers"]);
}

#[test]
fn files_that_are_not_there_or_no_files() {
    let folder = with_data("nowhere.csv");
    let parts = [
        "nowhere.csv",
        "no such file",
        "network.toml:5:8",
        "from the folder of the file",
    ];
    refused(&folder, &folder.network(), &parts);
    let folder = with_data("folder");
    std::fs::create_dir(folder.path("folder")).unwrap();
    refused(
        &folder,
        &folder.network(),
        &["`", "folder", "it is a directory", "network.toml:5:8"],
    );

    let folder = Folder::new();
    refused(
        &folder,
        &folder.network(),
        &["network.toml", "no such file", "gradprobe init"],
    );
    let itself = folder.0.path().to_str().unwrap().to_owned();
    refused(&folder, &itself, &["it is a directory"]);
}

#[cfg(unix)]
#[test]
fn files_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = with_data("data.csv");
    let locked = |name: &str| {
        let mode = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(folder.path(name), mode).unwrap();
        std::fs::read(folder.path(name)).is_err()
    };
    folder.file("data.csv", "1,2,3\n4,5,6\n");
    if !locked("data.csv") {
        eprintln!("skipped: this user may read every file");
        return;
    }
    refused(
        &folder,
        &folder.network(),
        &["data.csv", "permission denied", "network.toml:5:8"],
    );
    assert!(locked("network.toml"));
    refused(
        &folder,
        &folder.network(),
        &["network.toml", "permission denied"],
    );
}

#[test]
fn garbage() {
    let bytes: Vec<u8> = (0..=255).cycle().take(4096).collect();
    data(&bytes, &["line 1, column 1", "expected a number"]);
    data(
        b"1,2,3\n4,\xff\xfe,6\n",
        &["line 2, column 2", "expected a number"],
    );
    data(
        "1,2,3\n4,\u{1b}[31mred,6\n",
        &["line 2, column 2", "\\u{1b}[31mred"],
    );
    let folder = Folder::new();
    let file = folder.file("network.toml", &bytes);
    refused(&folder, &file, &["network.toml", "is not UTF-8 text"]);
    let file = folder.file("network.toml", b"input = 4\nname = \"\xff\"\n");
    refused(
        &folder,
        &file,
        &["network.toml", "line 2 is not UTF-8 text"],
    );
}

#[test]
fn compressed_files_that_are_cut_broken_or_bombs() {
    let rows: String = (0..20_000)
        .map(|i| format!("{},{i},{}\n", i * 7919 % 1000, i % 13))
        .collect();
    let whole = gzip(rows.as_bytes());
    data_file(
        "data.csv.gz",
        &whole[..whole.len() / 2],
        &["the file is cut off", "download it again"],
    );
    let mut broken = whole;
    let end = broken.len() - 8;
    broken[end..].fill(0);
    data_file("data.csv.gz", &broken, &["checksum", "download it again"]);
    // 300 MB of one line in 300 kB.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let chunk = vec![b'1'; 1 << 20];
    for _ in 0..300 {
        encoder.write_all(&chunk).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    data_file(
        "data.csv.gz",
        &bomb,
        &["too long", "limit of 16777216 bytes"],
    );
}

#[test]
fn names_that_would_control_the_terminal() {
    let name = "a\\u001b[31m\\u0007\\u009b31m\\u202e";
    for layer in [
        format!("{{ linear = 4, name = \"{name}\" }}"),
        format!("{{ linear = 4, \"{name}\" = 1 }}"),
        format!("\"{name}\""),
        format!("{{ linear = 4, activation = \"{name}\" }}"),
    ] {
        let folder = Folder::with(&layers(&layer));
        let message = refused(
            &folder,
            &folder.network(),
            &["network.toml:3:", "\\u{1b}[31m"],
        );
        let hostile = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!message.contains(hostile), "{message:?}");
    }
}

#[test]
fn arguments_that_are_none() {
    let folder = Folder::with(&layers("{ linear = 4 }"));
    let network = folder.network();
    for arguments in [
        &["--seed", "-1"][..],
        &["--seeds", "0"],
        &["--seeds", "1000000000"],
        &["--batch", "0"],
        &["--threads", "0"],
        &["--format", "yaml"],
        &["--dtype", "f16"],
        &["--seed", "1", "--seeds", "2"],
        &["--quiet", "--verbose"],
    ] {
        let mut all = vec!["check", &network];
        all.extend_from_slice(arguments);
        let output = run(&all);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        let errors = message
            .lines()
            .filter(|line| line.starts_with("error"))
            .count();
        assert_eq!(errors, 1, "{message}");
    }
    let output = run(&["check", &network, "--batch", "1000000000000000000"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("more than the limit"), "{message}");
}

#[test]
fn outputs_that_cannot_be_written() {
    let folder = Folder::with(&layers("{ linear = 4 }"));
    let network = folder.network();
    let refused = |place: &str, part: &str| {
        let output = run(&["check", &network, "-o", place]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(output.stdout.is_empty());
        assert!(message.starts_with("error: cannot write `"), "{message}");
        assert!(
            message.contains(place) && message.contains(part),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
    };
    let missing = folder.path("no/such/folder/out.json");
    refused(missing.to_str().unwrap(), "no such file or directory");
    refused(folder.0.path().to_str().unwrap(), "it is a directory");
    if Path::new("/dev/full").exists() {
        refused("/dev/full", "no space left");
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_behind_stdout_or_stderr() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full");
        return;
    }
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let folder = Folder::with(&layers("{ linear = 4 }"));
    for command in [
        &["check", &folder.network()][..],
        &["chain"],
        &["init", "-"],
    ] {
        let output = gradprobe(command).stdout(full()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(
            message.contains("cannot write to stdout: no space left"),
            "{message}"
        );
    }
    let output = gradprobe(&["check", "nowhere.toml"])
        .stderr(full())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
