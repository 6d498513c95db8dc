//! The way from the listener for HTTP to the gateway: a request for a WebSocket is the gateway's.

use ferry_admin::Upgraded;
use ferry_gateway::{Guest, WebSockets};
use hyper::{Request, Response};

/// The gateway, as the listener for HTTP knows it.
pub(crate) struct Passage(pub(crate) WebSockets);

impl std::fmt::Debug for Passage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Passage")
    }
}

impl ferry_admin::WebSockets for Passage {
    fn answer(&self, request: &Request<()>) -> Response<String> {
        self.0.answer(request)
    }

    fn take(&self, request: Request<()>, upgraded: Upgraded) {
        let Upgraded {
            stream,
            tls,
            early,
            whence,
        } = upgraded;
        let guest = Guest {
            stream,
            tls,
            early,
            whence,
        };
        self.0.serve(&request, guest);
    }
}
