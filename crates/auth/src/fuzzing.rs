//! What must hold for any bytes of somebody who is not logged in yet. For the fuzz targets and the
//! test over their corpora; not a part of the product.

pub use crate::oauth2::fuzzing::check_token;
pub use crate::proxy::fuzzing::check_proxy;
pub use crate::scram::fuzzing::check_scram;
