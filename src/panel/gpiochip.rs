//! Button and LED on the kernel's GPIO character device (second version of its interface, Linux 5.10 and later).

use std::{
    fs::File,
    path::{Path, PathBuf},
    task::{Context, Poll, ready},
};

use gpiocdev::{
    Request,
    chip::{Chip, chips},
    line::{Bias, EdgeDetection, EdgeKind, Value},
};
use tokio::io::unix::AsyncFd;

use super::{Driver, Port, PortError, Settings};

/// Labels of the chip that has the header's lines, under their BCM numbers: up to the Raspberry Pi 3 and Zero 2; 4; 5.
/// The numbers in `/dev/gpiochipN` changed between kernels, the labels did not.
const HEADERS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

/// Who holds the lines, as `gpioinfo` shows it.
pub const CONSUMER: &str = "latchgate";

/// Takes hold of the lines of one chip.
pub(super) struct GpioChip(pub Settings);

impl Driver for GpioChip {
    fn open(&self) -> Result<Box<dyn Port>, PortError> {
        let Settings { chip, button, led, debounce, .. } = &self.0;
        let (path, chip) = find(chip.as_deref())?;
        is_free(&chip, "button", *button)?;
        is_free(&chip, "led", *led)?;
        let button = Request::builder()
            .on_chip(&path)
            .with_consumer(CONSUMER)
            .with_line((*button).into())
            .as_input()
            .as_active_low()
            .with_bias(Bias::PullUp)
            .with_edge_detection(EdgeDetection::BothEdges)
            .with_debounce_period(*debounce)
            .request()
            .map_err(failed("taking the button's line"))?;
        let led_line = u32::from(*led);
        let led = Request::builder()
            .on_chip(&path)
            .with_consumer(CONSUMER)
            .with_line(led_line)
            .as_output(Value::Inactive)
            .request()
            .map_err(failed("taking the LED's line"))?;
        let button = watch(button).map_err(failed("watching the button"))?;
        Ok(Box::new(Lines { button, led }))
    }
}

/// Two lines in hand.
struct Lines {
    button: AsyncFd<Request>,
    led: Request,
}

impl Port for Lines {
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, PortError>> {
        loop {
            let mut ready = ready!(self.button.poll_read_ready(cx)).map_err(failed("watching the button"))?;
            let request = ready.get_inner();
            // A chip that is gone is "ready" too, and reading then says so.
            if request.has_edge_event().map_err(failed("watching the button"))? {
                let event = request.read_edge_event().map_err(failed("reading the button"))?;
                // The line is active low: it rises, logically, when it is pulled down.
                return Poll::Ready(Ok(event.kind == EdgeKind::Rising));
            }
            ready.clear_ready();
        }
    }

    fn is_pressed(&mut self) -> Result<bool, PortError> {
        let value = self.button.get_ref().lone_value().map_err(failed("reading the button"))?;
        Ok(value == Value::Active)
    }

    fn light(&mut self, on: bool) -> Result<(), PortError> {
        let value = if on { Value::Active } else { Value::Inactive };
        self.led.set_lone_value(value).map_err(failed("switching the LED"))
    }

    fn is_debounced(&self) -> bool {
        true
    }
}

/// One line of a chip, as the kernel tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineState {
    /// The key of the configuration that names it.
    pub key: &'static str,
    /// Its number.
    pub line: u16,
    /// Label of its chip.
    pub chip: String,
    /// Who has it; `None`: nobody.
    pub owner: Option<String>,
}

/// How these lines of the chip with the label `chip` (by default that of the header) are, without taking them.
///
/// # Errors
/// If there is no such chip or line, or it may not be asked.
pub fn lines(chip: Option<&str>, wanted: &[(&'static str, u16)]) -> Result<Vec<LineState>, PortError> {
    let (_, chip) = find(chip)?;
    let about = chip.info().map_err(failed("asking the GPIO chip"))?;
    let state = |&(key, line): &(&'static str, u16)| match is_free(&chip, key, line) {
        Ok(()) => Ok(LineState { key, line, chip: about.label.clone(), owner: None }),
        Err(PortError::Busy { consumer, .. }) => {
            Ok(LineState { key, line, chip: about.label.clone(), owner: Some(consumer) })
        }
        Err(error) => Err(error),
    };
    wanted.iter().map(state).collect()
}

/// Has the runtime tell when the line has an event.
#[expect(unsafe_code, reason = "tokio registers file descriptors of foreign types in no other way")]
fn watch(button: Request) -> std::io::Result<AsyncFd<Request>> {
    // SAFETY: a request owns the file of its lines from the beginning to the end; it neither closes nor replaces it.
    Ok(unsafe { AsyncFd::register(button) }?)
}

/// The chip with this label, or that of the header.
fn find(label: Option<&str>) -> Result<(PathBuf, Chip), PortError> {
    let (mut found, mut closed) = (Vec::new(), None);
    for path in chips().map_err(failed("looking for GPIO chips"))? {
        match open(&path) {
            Ok((chip, its)) => {
                if label.map_or(HEADERS.contains(&&*its), |label| label == its) {
                    return Ok((path, chip));
                }
                found.push(its);
            }
            Err(error) => closed = Some(error),
        }
    }
    // What cannot be opened may well be the right one.
    Err(closed.unwrap_or_else(|| PortError::NoChip {
        wanted: label.map_or_else(|| HEADERS.join(" or "), str::to_owned),
        found: if found.is_empty() { "none at all".to_owned() } else { found.join(", ") },
    }))
}

/// A chip and its label.
fn open(path: &Path) -> Result<(Chip, String), PortError> {
    // The system's own error tells apart what the library does not.
    let closed = |source| PortError::Closed { path: path.to_owned(), source };
    drop(File::options().read(true).write(true).open(path).map_err(closed)?);
    let chip = Chip::from_path(path).map_err(failed("opening the GPIO chip"))?;
    let label = chip.info().map_err(failed("asking the GPIO chip"))?.label;
    Ok((chip, label))
}

/// Whether the line is there and nobody's; the kernel would only say "busy", not by whom.
fn is_free(chip: &Chip, key: &'static str, line: u16) -> Result<(), PortError> {
    let about = chip.info().map_err(failed("asking the GPIO chip"))?;
    if u32::from(line) >= about.num_lines {
        let last = about.num_lines.saturating_sub(1);
        return Err(PortError::NoLine { key, line, chip: about.label, last });
    }
    let info = chip.line_info(line.into()).map_err(failed("asking for the line"))?;
    match info.used {
        true => Err(PortError::Busy { key, line, consumer: info.consumer }),
        false => Ok(()),
    }
}

fn failed<E: std::fmt::Display>(doing: &'static str) -> impl Fn(E) -> PortError {
    move |error| PortError::Failed { doing, why: error.to_string() }
}
