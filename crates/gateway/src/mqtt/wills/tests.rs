//! Wills that wait: how many, for how long, and what becomes of them.

use ferry_broker::Broker;
use mqtt::{Properties, Qos};
use tokio::runtime::Runtime;

use super::*;
use crate::for_tests::broker;

fn will(broker: &Arc<Broker>, payload: &[u8]) -> Will {
    let mut will = Will::of(&mqtt::Will {
        qos: Qos::AtMostOnce,
        retain: false,
        topic: "gone",
        payload,
        properties: Properties::EMPTY,
    });
    will.keep(broker);
    will
}

fn key(number: usize) -> ClientKey {
    ("/".into(), number.to_string().into())
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn wills_wait_as_long_as_there_is_room() {
    let (runtime, broker, wills) = (
        Runtime::new().unwrap(),
        broker(1 << 30),
        Arc::<Wills>::default(),
    );
    let _inside = runtime.enter();
    let payload = vec![0; 60_000];
    let wait = |number| {
        let author = Author::somebody(&broker);
        wills.wait(key(number), author, will(&broker, &payload), HOUR)
    };
    let before = broker.memory().used_bytes();
    let kept = (0..).take_while(|number| wait(*number).is_ok()).count();
    assert!((1_100..1_120).contains(&kept), "{kept}");
    assert!(broker.memory().used_bytes() - before >= 60_000 * kept as u64);
    let mut burst = Burst::new();
    wills.settle(&key(0), true, &mut burst);
    assert!(wait(0).is_ok(), "there is room again");
    assert!(wait(kept).is_err());
    for number in 0..kept {
        wills.settle(&key(number), true, &mut burst);
    }
    assert_eq!(broker.memory().used_bytes(), before, "all is given back");
    assert_eq!(wills.0.lock().bytes, 0);
}

#[test]
fn a_will_is_published_when_it_is_time_and_once() {
    let (runtime, broker, wills) = (
        Runtime::new().unwrap(),
        broker(1 << 30),
        Arc::<Wills>::default(),
    );
    let _inside = runtime.enter();
    let published = || {
        let counter = &broker.metrics().messages_published;
        counter.load(std::sync::atomic::Ordering::Relaxed)
    };
    let wait = |number, delay| {
        let author = Author::somebody(&broker);
        let waits = wills.wait(key(number), author, will(&broker, b"bye"), delay);
        assert!(waits.is_ok());
    };
    let mut burst = Burst::new();
    wait(1, HOUR);
    wills.settle(&key(1), true, &mut burst);
    assert_eq!(published(), 0, "taken back");
    wait(1, HOUR);
    wills.settle(&key(1), false, &mut burst);
    wills.settle(&key(1), false, &mut burst);
    assert_eq!(published(), 1, "its session has ended");
    wait(1, HOUR);
    wait(1, Duration::from_millis(20));
    wait(2, HOUR);
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while published() < 2 && std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(published(), 2, "its delay is over");
    wills.publish_all();
    wills.publish_all();
    assert_eq!(published(), 3, "the gateway goes down");
}
