//! The timer of a connection.
//!
//! Invariants
//! - It is there only while something is waited for: an idle connection has none, and is not woken
//!   for a wait that is over.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

/// What tells a connection the time, and when it is time.
pub(crate) trait Timer {
    /// The time.
    fn now(&self) -> Instant;

    /// Ready when it is `at`.
    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()>;

    /// Nothing is waited for any more.
    fn rest(&mut self);
}

/// A timer of the runtime.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Timer for Alarm {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = tokio::time::Instant::from_std(at);
        let set = || Box::pin(tokio::time::sleep_until(deadline));
        let sleep = self.0.get_or_insert_with(set);
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }

    fn rest(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicBool);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_wait_wakes_its_task_unless_it_was_given_up() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        for (gives_up, is_woken) in [(false, true), (true, false)] {
            let bell = Arc::new(Bell::default());
            runtime.block_on(async {
                let waker = Waker::from(Arc::clone(&bell));
                let mut cx = Context::from_waker(&waker);
                let mut alarm = Alarm::default();
                let soon = Instant::now() + Duration::from_millis(20);
                assert!(alarm.poll_until(soon, &mut cx).is_pending());
                if gives_up {
                    alarm.rest();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                assert_eq!(bell.0.load(Ordering::SeqCst), is_woken, "{gives_up}");
                assert!(alarm.poll_until(soon, &mut cx).is_ready());
            });
        }
    }
}
