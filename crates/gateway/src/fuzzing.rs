//! What must hold for any bytes that a peer may send. For the fuzz targets and the test over their
//! corpora; not a part of the product.

pub use crate::json::fuzzing::check_request;
pub use crate::map::fuzzing::check_map;
pub use crate::websocket::fuzzing::{check_frames, check_upgrade};
