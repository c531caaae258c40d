//! Button and LED on the registers of a Raspberry Pi, by the crate rppal. Its author retired it in July 2025; it is here for
//! kernels of Raspberry Pi OS that are too old for the character device's second version.

use std::task::{Context, Poll, ready};

use rppal::gpio::{Error, Gpio, InputPin, Level, OutputPin, Pin, Trigger};
use tokio::sync::mpsc;

use super::{Driver, Port, PortError, Settings};

/// Changes that wait to be looked at; more at once are bounces.
const WAITING: usize = 64;

/// Takes hold of two pins.
pub(super) struct Rppal(pub Settings);

impl Driver for Rppal {
    fn open(&self) -> Result<Box<dyn Port>, PortError> {
        let gpio = Gpio::new().map_err(failed("opening the GPIO registers"))?;
        let mut button = pin(&gpio, "button", self.0.button)?.into_input_pullup();
        let led = pin(&gpio, "led", self.0.led)?.into_output_low();
        let (changed, changes) = mpsc::channel(WAITING);
        button
            .set_async_interrupt(Trigger::Both, Some(self.0.debounce), move |event| {
                // Full: the level is looked at from time to time anyway.
                let _ = changed.try_send(event.trigger == Trigger::FallingEdge);
            })
            .map_err(failed("watching the button"))?;
        Ok(Box::new(Pins { button, led, changes }))
    }
}

/// Two pins in hand; they are as they were before when it is dropped.
struct Pins {
    button: InputPin,
    led: OutputPin,
    changes: mpsc::Receiver<bool>,
}

impl Port for Pins {
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, PortError>> {
        let gone = || PortError::Failed { doing: "watching the button", why: "its thread has ended".into() };
        Poll::Ready(ready!(self.changes.poll_recv(cx)).ok_or_else(gone))
    }

    fn is_pressed(&mut self) -> Result<bool, PortError> {
        Ok(self.button.is_low())
    }

    fn light(&mut self, on: bool) -> Result<(), PortError> {
        self.led.write(if on { Level::High } else { Level::Low });
        Ok(())
    }

    fn is_debounced(&self) -> bool {
        true
    }
}

fn pin(gpio: &Gpio, key: &'static str, line: u16) -> Result<Pin, PortError> {
    // The last line of the header's chip; the crate knows better and is asked.
    let no_line = || PortError::NoLine { key, line, chip: "the header".into(), last: 27 };
    let number = u8::try_from(line).map_err(|_| no_line())?;
    gpio.get(number).map_err(|error| match error {
        Error::PinNotAvailable(_) => no_line(),
        Error::PinUsed(_) => PortError::Busy { key, line, consumer: "this process".into() },
        error => failed("taking the pin")(error),
    })
}

fn failed(doing: &'static str) -> impl Fn(Error) -> PortError {
    move |error| PortError::Failed { doing, why: error.to_string() }
}
