//! Writes the data types of section 1.5. Each function appends to `out`.

/// A value that its field on the wire cannot hold.
#[derive(Debug)]
pub(super) struct DoesNotFit;

pub(super) type Written = Result<(), DoesNotFit>;

pub(super) fn u8(value: u8, out: &mut Vec<u8>) -> Written {
    out.push(value);
    Ok(())
}

pub(super) fn u16(value: u16, out: &mut Vec<u8>) -> Written {
    out.extend_from_slice(&value.to_be_bytes());
    Ok(())
}

pub(super) fn u32(value: u32, out: &mut Vec<u8>) -> Written {
    out.extend_from_slice(&value.to_be_bytes());
    Ok(())
}

/// Binary Data: at most 65,535 bytes.
pub(super) fn binary(bytes: &[u8], out: &mut Vec<u8>) -> Written {
    let length = u16::try_from(bytes.len()).map_err(|_| DoesNotFit)?;
    out.reserve(2 + bytes.len());
    u16(length, out)?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// A UTF-8 Encoded String: at most 65,535 bytes.
pub(super) fn text(text: &str, out: &mut Vec<u8>) -> Written {
    binary(text.as_bytes(), out)
}

/// How many bytes the shortest form of `value` takes.
pub(super) fn variable_byte_integer_size(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// The shortest form of `value` and its size; a value above 268,435,455 does not fit.
fn shortest_form(mut value: u32) -> Result<([u8; 4], usize), DoesNotFit> {
    let mut bytes = [0; 4];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            return Ok((bytes, i + 1));
        }
        *byte |= 0x80;
    }
    Err(DoesNotFit)
}

/// A Variable Byte Integer in its shortest form [MQTT-1.5.5-1].
pub(super) fn variable(value: u32, out: &mut Vec<u8>) -> Written {
    let (bytes, size) = shortest_form(value)?;
    out.extend_from_slice(&bytes[..size]);
    Ok(())
}

/// Writes what `content` writes, preceded by its length as a Variable Byte Integer. `tail` bytes that the
/// caller appends afterwards are counted in.
pub(super) fn with_length(
    out: &mut Vec<u8>,
    tail: usize,
    content: impl FnOnce(&mut Vec<u8>) -> Written,
) -> Written {
    // Nearly every length takes one byte; only a longer one moves the content.
    let at = out.len();
    out.push(0);
    content(out)?;
    let length = u32::try_from(out.len() - at - 1 + tail).map_err(|_| DoesNotFit)?;
    let (bytes, size) = shortest_form(length)?;
    out.splice(at..at + 1, bytes[..size].iter().copied());
    Ok(())
}

// Data types that differ from the above only in what is accepted when they are read.
pub(super) use {
    text as response_topic, u8 as flag, u16 as nonzero_u16, u32 as nonzero_u32, variable as nonzero_variable,
};
