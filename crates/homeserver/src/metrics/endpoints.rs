//! Requests of clients, by endpoint.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use http::{Method, StatusCode};
use parking_lot::RwLock;
use tokio::time::Instant;

use super::{
    Metrics,
    catalogue::{HTTP_DURATION, HTTP_IN_FLIGHT, HTTP_REQUESTS},
};

/// The endpoint of every path that has no route.
const UNMATCHED: &str = "unmatched";

/// The endpoints that were called so far, by route template: as many as there are routes at most.
#[derive(Default)]
pub(super) struct Endpoints {
    by_route: RwLock<HashMap<Box<str>, Arc<Endpoint>>>,
}

struct Endpoint {
    /// The label's value.
    name: String,
    in_flight: AtomicI64,
}

impl Endpoints {
    fn get(&self, route: &str) -> Arc<Endpoint> {
        if let Some(endpoint) = self.by_route.read().get(route) {
            return endpoint.clone();
        }
        let make = || {
            Arc::new(Endpoint {
                name: endpoint_name(route),
                in_flight: AtomicI64::new(0),
            })
        };
        let mut by_route = self.by_route.write();
        by_route.entry(route.into()).or_insert_with(make).clone()
    }
}

/// All versions of the client-server API are one endpoint: they are one handler.
fn endpoint_name(route: &str) -> String {
    for base in ["/_matrix/client/", "/_matrix/media/"] {
        let rest = route.strip_prefix(base);
        let versioned = rest.and_then(|rest| rest.strip_prefix("api/").or(Some(rest)));
        if let Some((_, path)) = versioned.and_then(|rest| rest.split_once('/')) {
            return format!("{base}*/{path}");
        }
    }
    route.to_owned()
}

/// A request under way. Dropped without [`InFlight::answered`] it counts as given up by the client.
pub(crate) struct InFlight {
    metrics: Arc<Metrics>,
    endpoint: Arc<Endpoint>,
    method: &'static str,
    started: Instant,
    status: &'static str,
}

impl InFlight {
    /// `route`: the template that the path matched, if it did.
    pub(crate) fn begin(metrics: &Arc<Metrics>, route: Option<&str>, method: &Method) -> Self {
        let endpoint = metrics.endpoints.get(route.unwrap_or(UNMATCHED));
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            metrics: metrics.clone(),
            endpoint,
            method: method_name(method),
            started: Instant::now(),
            status: "none",
        }
    }

    /// The request was answered.
    pub(crate) fn answered(mut self, status: StatusCode) {
        self.status = match status.as_u16() {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Self {
            metrics,
            endpoint,
            method,
            started,
            status,
        } = self;
        endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
        metrics.count(&HTTP_REQUESTS, &[&endpoint.name, method, status], 1);
        let seconds = started.elapsed().as_secs_f64();
        metrics.record(&HTTP_DURATION, &[&endpoint.name, method], seconds);
    }
}

/// Clients may invent methods; the labels do not follow.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

impl Metrics {
    /// Tells how many requests are under way.
    pub(super) fn refresh_endpoints(&self) {
        let endpoints: Vec<_> = self.endpoints.by_route.read().values().cloned().collect();
        let mut by_name: HashMap<&str, i64> = HashMap::new();
        for endpoint in &endpoints {
            *by_name.entry(&endpoint.name).or_default() +=
                endpoint.in_flight.load(Ordering::Relaxed);
        }
        for (name, in_flight) in by_name {
            self.set(&HTTP_IN_FLIGHT, &[name], in_flight as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::endpoint_name;

    #[test]
    fn versions_of_one_endpoint_share_a_name() {
        for (route, name) in [
            ("/_matrix/client/v3/sync", "/_matrix/client/*/sync"),
            ("/_matrix/client/api/v1/sync", "/_matrix/client/*/sync"),
            ("/_matrix/client/versions", "/_matrix/client/versions"),
            ("/_matrix/media/r0/upload", "/_matrix/media/*/upload"),
            ("/_synapse/admin/v1/register", "/_synapse/admin/v1/register"),
            ("unmatched", "unmatched"),
        ] {
            assert_eq!(endpoint_name(route), name);
        }
    }
}
