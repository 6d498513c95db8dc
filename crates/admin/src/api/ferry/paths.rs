//! The paths of our own API, with who answers them.
//!
//! Invariants
//! - What is added here is in the OpenAPI document, and the other way round (a test compares).

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, delete, get, post};

use super::Shared;

/// Paths as they are added.
#[derive(Default)]
pub(super) struct Paths {
    router: Router<Arc<Shared>>,
    /// Method and path of each, for the test.
    #[cfg(test)]
    pub known: Vec<(&'static str, &'static str)>,
}

impl Paths {
    pub fn get<H: Handler<T, Arc<Shared>>, T: 'static>(self, path: &'static str, by: H) -> Paths {
        self.add("get", path, get(by))
    }

    pub fn post<H: Handler<T, Arc<Shared>>, T: 'static>(self, path: &'static str, by: H) -> Paths {
        self.add("post", path, post(by))
    }

    pub fn delete<H: Handler<T, Arc<Shared>>, T: 'static>(
        self,
        path: &'static str,
        by: H,
    ) -> Paths {
        self.add("delete", path, delete(by))
    }

    #[cfg_attr(
        not(test),
        expect(unused_variables, reason = "the test compares methods")
    )]
    fn add(
        mut self,
        method: &'static str,
        path: &'static str,
        by: MethodRouter<Arc<Shared>>,
    ) -> Paths {
        #[cfg(test)]
        self.known.push((method, path));
        self.router = self.router.route(path, by);
        self
    }

    pub fn into_router(self) -> Router<Arc<Shared>> {
        self.router
    }
}
