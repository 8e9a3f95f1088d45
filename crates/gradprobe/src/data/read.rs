//! Reading CSV, plain or compressed with gzip.

use super::{DataError, Table};
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Does the first line hold the columns' names?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Header {
    /// Yes if none of its fields is a number.
    #[default]
    Auto,
    /// Yes.
    Yes,
    /// No.
    No,
}

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Whether there is a header.
    pub header: Header,
    /// What separates fields; `None`: whichever of comma, semicolon and tab the first line has.
    pub delimiter: Option<u8>,
    /// The most bytes that may be read (after decompression), and the most that the numbers may
    /// take in memory.
    pub max_bytes: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            header: Header::Auto,
            delimiter: None,
            max_bytes: 1 << 30,
        }
    }
}

/// The longest line: a file without line ends would otherwise be held in memory as one field.
const LONGEST_LINE: u64 = 1 << 24;

/// Reads a table of finite numbers. Whether the file is compressed is seen from its first bytes,
/// not from its name.
pub fn read_table(path: &Path, options: &ReadOptions) -> Result<Table, DataError> {
    let unreadable = |error: io::Error| DataError::Unreadable {
        path: path.to_path_buf(),
        kind: error.kind(),
        reason: reason(&error),
    };
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let compressed = file
        .fill_buf()
        .map_err(unreadable)?
        .starts_with(&[0x1f, 0x8b]);
    if compressed {
        parse(path, MultiGzDecoder::new(file), options)
    } else {
        parse(path, file, options)
    }
}

/// What the system says, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".into(),
        io::ErrorKind::IsADirectory => "it is a directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::UnexpectedEof => "the file is cut off".into(),
        _ => error.to_string(),
    }
}

/// Counts what is read, stops where it is too much, and ends every line with one `\n` (the last
/// too), so that the lines the CSV reader counts are those that an editor shows.
struct Guarded<R> {
    inner: R,
    read: u64,
    since_line_end: u64,
    limit: u64,
    last: u8,
    ended: bool,
}

/// Which limit a [`Guarded`] reader ran into.
#[derive(Debug, Clone, Copy)]
enum Excess {
    Text,
    Line,
}

impl std::fmt::Display for Excess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("too large")
    }
}

impl std::error::Error for Excess {}

impl<R: Read> Guarded<R> {
    fn new(inner: R, limit: u64) -> Self {
        Self {
            inner,
            read: 0,
            since_line_end: 0,
            limit,
            last: b'\n',
            ended: false,
        }
    }

    /// Turns `\r\n` and `\r` into `\n` in place; returns how many bytes are left.
    fn end_lines_alike(&mut self, buffer: &mut [u8]) -> usize {
        let mut kept = 0;
        for index in 0..buffer.len() {
            let byte = buffer[index];
            let second_of_pair = byte == b'\n' && self.last == b'\r';
            self.last = byte;
            if !second_of_pair {
                buffer[kept] = if byte == b'\r' { b'\n' } else { byte };
                kept += 1;
            }
        }
        kept
    }
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.inner.read(buffer)?;
            if count == 0 {
                self.ended = true;
                if matches!(self.last, b'\n' | b'\r') {
                    return Ok(0);
                }
                buffer[0] = b'\n';
                return Ok(1);
            }
            self.read += count as u64;
            if self.read > self.limit {
                return Err(io::Error::other(Excess::Text));
            }
            let kept = self.end_lines_alike(&mut buffer[..count]);
            match buffer[..kept].iter().rposition(|&byte| byte == b'\n') {
                Some(end) => self.since_line_end = (kept - end) as u64,
                None => self.since_line_end += kept as u64,
            }
            if self.since_line_end > LONGEST_LINE {
                return Err(io::Error::other(Excess::Line));
            }
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}

fn parse(path: &Path, reader: impl Read, options: &ReadOptions) -> Result<Table, DataError> {
    let guarded = Guarded::new(reader, options.max_bytes);
    let mut reader = BufReader::with_capacity(1 << 16, guarded);
    let first = reader
        .fill_buf()
        .map_err(|error| failed(path, &error, options))?;
    let delimiter = options.delimiter.unwrap_or_else(|| guess_delimiter(first));
    let mut records = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(reader);
    let mut rows = Rows::new(path, options);
    let mut record = csv::ByteRecord::new();
    loop {
        let more = records.read_byte_record(&mut record);
        if !more.map_err(|error| csv_failed(path, error, options))? {
            break;
        }
        // The record's own position is that of the blank lines before it; the reader stands at
        // the line after it.
        let line = records.position().line() - 1;
        rows.push(&record, line)?;
    }
    rows.finish()
}

fn failed(path: &Path, error: &io::Error, options: &ReadOptions) -> DataError {
    let excess = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Excess>());
    let too_large = |what, limit| DataError::TooLarge {
        path: path.to_path_buf(),
        what,
        limit,
    };
    match excess {
        Some(Excess::Text) => too_large("holds too much text", options.max_bytes),
        Some(Excess::Line) => too_large("has a line that is too long", LONGEST_LINE),
        None => DataError::Unreadable {
            path: path.to_path_buf(),
            kind: error.kind(),
            reason: reason(error),
        },
    }
}

fn csv_failed(path: &Path, error: csv::Error, options: &ReadOptions) -> DataError {
    match error.kind() {
        csv::ErrorKind::Io(io) => failed(path, io, options),
        _ => DataError::Unreadable {
            path: path.to_path_buf(),
            kind: io::ErrorKind::Other,
            reason: error.to_string(),
        },
    }
}

/// The first of comma, semicolon and tab that the first line has.
fn guess_delimiter(start: &[u8]) -> u8 {
    let line = start
        .split(|&byte| byte == b'\n')
        .find(|line| !line.is_empty());
    let line = line.unwrap_or_default();
    let mut candidates = *b",;\t";
    candidates.sort_by_key(|candidate| !line.contains(candidate));
    candidates[0]
}

/// The rows read so far.
struct Rows<'a> {
    path: &'a Path,
    options: &'a ReadOptions,
    header: Option<Vec<String>>,
    first_line: u64,
    columns: usize,
    values: Vec<f64>,
    lines: Vec<u64>,
}

impl<'a> Rows<'a> {
    fn new(path: &'a Path, options: &'a ReadOptions) -> Self {
        Self {
            path,
            options,
            header: None,
            first_line: 0,
            columns: 0,
            values: Vec::new(),
            lines: Vec::new(),
        }
    }

    fn push(&mut self, record: &csv::ByteRecord, line: u64) -> Result<(), DataError> {
        if self.first_line == 0 {
            self.first_line = line;
            self.columns = record.len();
            let names = match self.options.header {
                Header::Yes => true,
                Header::No => false,
                Header::Auto => record
                    .iter()
                    .all(|field| number(field).is_none() && !field.is_empty()),
            };
            if names {
                let name = |field| String::from_utf8_lossy(field).into_owned();
                self.header = Some(record.iter().map(name).collect());
                return Ok(());
            }
        }
        if record.len() != self.columns {
            return Err(DataError::Ragged {
                path: self.path.to_path_buf(),
                line,
                first_line: self.first_line,
                expected: self.columns,
                got: record.len(),
            });
        }
        let needed = 8 * (self.values.len() + self.lines.len() + record.len() + 1) as u64;
        if needed > self.options.max_bytes {
            return Err(DataError::TooLarge {
                path: self.path.to_path_buf(),
                what: "holds too many numbers",
                limit: self.options.max_bytes,
            });
        }
        for (index, field) in record.iter().enumerate() {
            let value = self.field(field, line, index + 1)?;
            self.values.push(value);
        }
        self.lines.push(line);
        Ok(())
    }

    fn field(&self, field: &[u8], line: u64, column: usize) -> Result<f64, DataError> {
        let path = || self.path.to_path_buf();
        let text = || String::from_utf8_lossy(field).into_owned();
        match number(field) {
            Some(value) if value.is_finite() => Ok(value),
            Some(_) => Err(DataError::NotFinite {
                path: path(),
                line,
                column,
                text: text(),
            }),
            None if line == self.first_line && self.options.header == Header::Auto => {
                Err(DataError::MixedHeader {
                    path: path(),
                    line,
                    column,
                    text: text(),
                })
            }
            None => Err(DataError::NotANumber {
                path: path(),
                line,
                column,
                text: text(),
            }),
        }
    }

    fn finish(self) -> Result<Table, DataError> {
        if self.lines.is_empty() || self.columns == 0 {
            return Err(DataError::Empty {
                path: self.path.to_path_buf(),
            });
        }
        Ok(Table {
            path: self.path.to_path_buf(),
            header: self.header,
            columns: self.columns,
            values: self.values,
            lines: self.lines,
        })
    }
}

fn number(field: &[u8]) -> Option<f64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn parse_bytes(bytes: &[u8], options: &ReadOptions) -> Result<Table, DataError> {
        parse(Path::new("data.csv"), bytes, options)
    }

    fn table(text: &str) -> Table {
        parse_bytes(text.as_bytes(), &ReadOptions::default()).expect("a good file")
    }

    fn message(bytes: &[u8]) -> String {
        let error = parse_bytes(bytes, &ReadOptions::default());
        error.expect_err("a bad file").to_string()
    }

    #[test]
    fn numbers_are_read_whatever_the_line_ends_and_the_separator() {
        let expected = [1.0, -2.5, 3e4, 0.0, 5.0, 6.0];
        for text in [
            "1,-2.5,3e4\n0,5,6\n",
            "1, -2.5 ,3e4\r\n0,5,+6",
            "1,-2.5,3e4\r0,5,6\r",
            "1;-2.5;3e4\n\n0;5;6\n\n",
            "\u{feff}1\t-2.5\t3e4\r\n0\t5\t6\r\n",
            "\"1\",\"-2.5\",3e4\n0,5,6\n",
            "a,b,c\n1,-2.5,3e4\n0,5,6\n",
        ] {
            let table = table(text);
            assert_eq!(table.values, expected, "{text:?}");
            assert_eq!((table.rows(), table.columns), (2, 3));
        }
        assert_eq!(
            table("a,b\n1,2\n").header,
            Some(vec!["a".into(), "b".into()])
        );
        assert_eq!(table("a,b\n1,2\n").lines, [2]);
        assert_eq!(table("7\n8\n").values, [7.0, 8.0]);
    }

    #[test]
    fn a_bad_field_is_named_by_file_line_and_column() {
        assert_eq!(
            message(b"1,2\n3,x\n"),
            "`data.csv`, line 2, column 2: expected a number, got `x`"
        );
        assert_eq!(
            message(b"1,2\n\n\n3,\n"),
            "`data.csv`, line 4, column 2: expected a number, got an empty field"
        );
        assert_eq!(
            message(b"1,2\r\n\r\n3,nan\r\n"),
            "`data.csv`, line 3, column 2: expected a finite number, got `nan`"
        );
        assert_eq!(
            message(b"a,b\n1,1e400"),
            "`data.csv`, line 2, column 2: expected a finite number, got `1e400`"
        );
        assert_eq!(
            message(b"1,2\n3,\xff\x1b[31m\n"),
            "`data.csv`, line 2, column 2: expected a number, got `\u{fffd}\\u{1b}[31m`"
        );
        assert_eq!(
            message(b"1,x\n3,4\n"),
            "`data.csv`, line 1, column 2: expected a number, got `x` (if line 1 holds the \
             columns' names, set header = true)"
        );
    }

    #[test]
    fn rows_of_different_lengths_are_refused() {
        assert_eq!(
            message(b"1,2,3\n4,5,6\n7,8\n"),
            "`data.csv`, line 3: expected 3 columns as in line 1, got 2"
        );
        assert_eq!(
            message(b"a,b\n1,2,3\n"),
            "`data.csv`, line 2: expected 2 columns as in line 1, got 3"
        );
    }

    #[test]
    fn a_file_without_rows_is_refused() {
        for text in ["", "\n\n", "a,b\n"] {
            assert_eq!(
                message(text.as_bytes()),
                "`data.csv` holds no rows of numbers"
            );
        }
    }

    #[test]
    fn the_limits_hold_for_text_lines_and_numbers() {
        let options = ReadOptions {
            max_bytes: 1000,
            ..ReadOptions::default()
        };
        let error = parse_bytes(&b"1\n".repeat(600), &options).expect_err("too much");
        assert_eq!(
            error.to_string(),
            "`data.csv` holds too much text, more than the limit of 1000 bytes"
        );
        let error = parse_bytes(&b"1\n".repeat(100), &options).expect_err("too much");
        assert!(error.to_string().contains("too many numbers"), "{error}");
        let zeros = io::repeat(0).take(1 << 40);
        let error = parse(Path::new("z"), zeros, &ReadOptions::default()).expect_err("a long line");
        assert!(
            error.to_string().contains("a line that is too long"),
            "{error}"
        );
    }

    #[test]
    fn a_decompression_bomb_is_stopped() {
        let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let line = b"0,0\n".repeat(1 << 18);
        for _ in 0..16 {
            bomb.write_all(&line).expect("in memory");
        }
        let bytes = bomb.finish().expect("in memory");
        assert!(bytes.len() < 1 << 20);
        let options = ReadOptions {
            max_bytes: 1 << 22,
            ..ReadOptions::default()
        };
        let decoder = MultiGzDecoder::new(&bytes[..]);
        let error = parse(Path::new("bomb.csv.gz"), decoder, &options).expect_err("a bomb");
        assert!(matches!(error, DataError::TooLarge { .. }), "{error}");
        let cut = MultiGzDecoder::new(&bytes[..bytes.len() / 2]);
        let error = parse(Path::new("b"), cut, &ReadOptions::default()).expect_err("cut off");
        assert_eq!(error.to_string(), "cannot read `b`: the file is cut off");
    }

    #[test]
    fn files_that_cannot_be_read_say_so() {
        let read = |path: &str| {
            let error = read_table(Path::new(path), &ReadOptions::default());
            error.expect_err("unreadable").to_string()
        };
        assert_eq!(
            read("no/such.csv"),
            "cannot read `no/such.csv`: no such file"
        );
        assert_eq!(read("/"), "cannot read `/`: it is a directory");
    }
}
