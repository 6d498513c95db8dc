//! dev
#![allow(missing_docs)]
use ferry_broker::*;
use std::sync::Arc;
struct C;
impl Clock for C {
    fn now(&self) -> u64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis() as u64
    }
}
#[global_allocator]
static A: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let disk = ferry_log::RealDisk::open(&a[1]).unwrap();
    let broker = Broker::open(Options {
        disk: Arc::new(disk),
        log: Default::default(),
        clock: Arc::new(C),
        formats: ferry_gateway::formats(),
        sync: SyncPolicy::Sync,
        memory_high_bytes: 4 << 30,
        disk_free_bytes_min: 0,
    })
    .unwrap();
    let threads = Threads::start(&broker).unwrap();
    let n: usize = a.get(3).map_or(2, |n| n.parse().unwrap());
    let rt = if n == 1 {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    } else {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(n)
            .enable_all()
            .build()
            .unwrap()
    };
    rt.block_on(async {
        let cfg = ferry_gateway::GatewayConfig {
            amqp: vec![a[2].parse().unwrap()],
            ..Default::default()
        };
        let g = ferry_gateway::Gateway::start(broker.clone(), cfg).unwrap();
        println!("ready");
        let mut t =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        t.recv().await;
        g.shutdown().await;
    });
    threads.stop().unwrap();
}
