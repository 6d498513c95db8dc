//! What must hold for any definitions file. Shared by the corpus test and the fuzz target.

use std::sync::{Arc, OnceLock};

use ferry_admin::fuzzing::import_of;
use ferry_broker::{Broker, Clock, Formats, Options, SyncPolicy};
use ferry_log::testing::FaultyDisk;

/// It is always the same day.
struct Still;

impl Clock for Still {
    fn now(&self) -> u64 {
        1_700_000_000_000
    }
}

fn broker() -> Arc<Broker> {
    let options = Options {
        disk: Arc::new(FaultyDisk::new(1)),
        log: ferry_log::Options::default(),
        clock: Arc::new(Still),
        formats: Formats::default(),
        sync: SyncPolicy::Sync,
        memory_high_bytes: 1 << 30,
        disk_free_bytes_min: 0,
    };
    Broker::open(options).expect("the disk is empty")
}

/// A file is refused in words and changes nothing, or can be imported, and then asks for nothing
/// that is refused the second time.
pub fn check_definitions(file: &[u8]) {
    static EMPTY: OnceLock<Arc<Broker>> = OnceLock::new();
    let empty = EMPTY.get_or_init(broker);
    for vhost in [None, Some("/")] {
        let Some(import) = import_of(empty, file, vhost) else {
            continue;
        };
        if let Err(error) = empty.check_import(&import) {
            assert!(!error.to_string().is_empty());
            continue;
        }
        let fresh = broker();
        let imported = fresh.import(&import, "guest").map(drop);
        assert_eq!(imported, Ok(()), "it was found possible");
        let again = import_of(&fresh, file, vhost).expect("it was read before");
        assert_eq!(fresh.import(&again, "guest").map(drop), Ok(()));
    }
}
