//! How many floating-point numbers an ONNX file holds, counted by walking its fields and not by
//! gradprobe's own reader, which is held against this.
//!
//! A message of protobuf is a row of fields: a tag (number × 8 + wire type), then a varint, 8 bytes,
//! a length with so many bytes, or 4 bytes. Which number is what stands in `onnx.proto`.

/// A field's content.
enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Counts the numbers of initialisers and of Constant nodes, those of bodies and of functions too.
/// What is damaged ends the count there.
pub fn count(model: &[u8]) -> u64 {
    let mut sum = 0;
    each(model, &mut |number, content| match (number, content) {
        (7, Content::Bytes(graph)) => sum += of_graph(graph),
        (25, Content::Bytes(function)) => each(function, &mut |number, content| {
            if let (7, Content::Bytes(node)) = (number, content) {
                sum += of_node(node);
            }
        }),
        _ => {}
    });
    sum
}

fn of_graph(graph: &[u8]) -> u64 {
    let mut sum = 0;
    each(graph, &mut |number, content| match (number, content) {
        (1, Content::Bytes(node)) => sum += of_node(node),
        (5, Content::Bytes(tensor)) => sum += of_tensor(tensor),
        _ => {}
    });
    sum
}

fn of_node(node: &[u8]) -> u64 {
    let mut is_constant = false;
    each(node, &mut |number, content| {
        if let (4, Content::Bytes(b"Constant")) = (number, content) {
            is_constant = true;
        }
    });
    let mut sum = 0;
    each(node, &mut |number, content| {
        if let (5, Content::Bytes(attribute)) = (number, content) {
            sum += of_attribute(attribute, is_constant);
        }
    });
    sum
}

fn of_attribute(attribute: &[u8], of_constant: bool) -> u64 {
    let (mut sum, mut floats, mut is_float) = (0, 0, false);
    each(attribute, &mut |number, content| match (number, content) {
        (1, Content::Bytes(b"value_float")) => is_float = true,
        (5, Content::Bytes(tensor)) if of_constant => sum += of_tensor(tensor),
        (6, Content::Bytes(graph)) => sum += of_graph(graph),
        (7, Content::Bytes(packed)) => floats += packed.len() as u64 / 4,
        _ => {}
    });
    match of_constant {
        true => sum + floats + u64::from(is_float),
        false => sum,
    }
}

fn of_tensor(tensor: &[u8]) -> u64 {
    const FLOATS: [u64; 4] = [1, 10, 11, 16];
    let (mut elements, mut is_float) = (1u64, false);
    each(tensor, &mut |number, content| match (number, content) {
        (1, Content::Number(extent)) => elements = elements.saturating_mul(extent),
        (1, Content::Bytes(mut packed)) => {
            while let Some(extent) = varint(&mut packed) {
                elements = elements.saturating_mul(extent);
            }
        }
        (2, Content::Number(kind)) => is_float = FLOATS.contains(&kind),
        _ => {}
    });
    if is_float { elements } else { 0 }
}

fn each<'a>(mut rest: &'a [u8], look: &mut dyn FnMut(u64, Content<'a>)) {
    while let Some(tag) = varint(&mut rest) {
        let content = match tag & 7 {
            0 => varint(&mut rest).map(Content::Number),
            1 => take(&mut rest, 8).map(Content::Bytes),
            2 => varint(&mut rest)
                .and_then(|length| take(&mut rest, length))
                .map(Content::Bytes),
            5 => take(&mut rest, 4).map(Content::Bytes),
            _ => None,
        };
        let Some(content) = content else { return };
        look(tag >> 3, content);
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2, content.len() as u8];
        field.extend_from_slice(content);
        field
    }

    #[test]
    fn initialisers_constants_and_bodies_are_counted() {
        let floats = |extent: u8| [&[8, extent][..], &[8, 3], &[16, 1]].concat();
        let whole = [8, 200, 1, 16, 7];
        let value = field(5, &[field(1, b"value"), field(5, &floats(2))].concat());
        let constant = [field(4, b"Constant"), value].concat();
        let body = [field(5, &floats(5)), field(1, &constant)].concat();
        let branch = [field(4, b"If"), field(5, &field(6, &body))].concat();
        let graph = [
            field(5, &floats(7)),
            field(5, &whole),
            field(1, &constant),
            field(1, &branch),
        ];
        let graph = graph.concat();
        assert_eq!(count(&field(7, &graph)), 3 * (7 + 2 + 5 + 2));
        assert_eq!(count(b"\xff\xff"), 0);
    }
}
