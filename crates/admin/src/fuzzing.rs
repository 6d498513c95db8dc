//! What must hold for the body of any request. For the fuzz targets and the test over their
//! corpora; not a part of the product.

pub use crate::api::fuzzing::{check_body, import_of};
