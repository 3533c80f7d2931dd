//! The dashboard at `/_bridgehead/`: the static files of `dashboard/`, in the binary.
//!
//! They hold no secret and know no private door: what they show, they fetch from the operator API
//! as any script may. So they need no token; their headers keep foreign scripts, frames and forms
//! out.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    Extension, Router,
    extract::Path,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::http::{error::ApiError, router::TrailingSlash};

/// The page that all others are parts of.
const INDEX: &str = "index.html";

/// Everything comes from this server, nothing is in line, nobody may frame it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; \
     base-uri 'none'";

/// Puts files of the folder into the binary, each under its path there.
macro_rules! embedded {
    ($($path:literal,)*) => {
        &[$(($path, include_bytes!(concat!("../../../dashboard/", $path)) as &[u8]),)*]
    };
}

/// Path and contents.
const FILES: &[(&str, &[u8])] = embedded![
    "app.css",
    "favicon.svg",
    "index.html",
    "js/api.js",
    "js/audit.js",
    "js/clock.js",
    "js/dialog.js",
    "js/doctor.js",
    "js/dom.js",
    "js/findings.js",
    "js/format.js",
    "js/main.js",
    "js/plot.js",
    "js/plots.js",
    "js/poll.js",
    "js/removal.js",
    "js/services.js",
    "js/table.js",
    "js/toast.js",
    "js/transaction.js",
    "js/verbs.js",
    "js/pages/audit.js",
    "js/pages/events.js",
    "js/pages/lint.js",
    "js/pages/login.js",
    "js/pages/operators.js",
    "js/pages/overview.js",
    "js/pages/registration.js",
    "js/pages/service.js",
];

/// A file as it is served.
struct Asset {
    body: &'static [u8],
    kind: &'static str,
    etag: HeaderValue,
}

static ASSETS: LazyLock<BTreeMap<&str, Asset>> = LazyLock::new(|| {
    let assets = FILES.iter().map(|&(path, body)| (path, asset(path, body)));
    assets.collect()
});

fn asset(path: &str, body: &'static [u8]) -> Asset {
    let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..12]);
    Asset {
        body,
        kind: content_type(path),
        etag: HeaderValue::try_from(format!("\"{hash}\"")).expect("base64 fits into a header"),
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// The routes, at their full paths, for any state.
pub(in crate::http) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/_bridgehead", get(index))
        .route("/_bridgehead/{file}", get(file))
        .route("/_bridgehead/js/{file}", get(script))
        .route("/_bridgehead/js/pages/{file}", get(page_script))
        .method_not_allowed_fallback(|| async {
            ApiError::method_not_allowed("The dashboard is only to be read")
        })
}

/// The page's own paths are relative, so it is only at home behind the slash.
async fn index(slash: Option<Extension<TrailingSlash>>, headers: HeaderMap) -> Response {
    match slash {
        Some(_) => served(INDEX, &headers),
        None => guarded(Redirect::permanent("/_bridgehead/").into_response()),
    }
}

async fn file(Path(file): Path<String>, headers: HeaderMap) -> Response {
    served(&file, &headers)
}

async fn script(Path(file): Path<String>, headers: HeaderMap) -> Response {
    served(&format!("js/{file}"), &headers)
}

async fn page_script(Path(file): Path<String>, headers: HeaderMap) -> Response {
    served(&format!("js/pages/{file}"), &headers)
}

fn served(path: &str, asked: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.get(path) else {
        return ApiError::unrecognized("The dashboard has no such file").into_response();
    };
    let mut response = if is_known(asked, &asset.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, asset.kind)], asset.body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, asset.etag.clone());
    // Asked for each time, answered with 304: a new version of the server is seen at once.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    guarded(response)
}

/// Whether the browser has this very version (RFC 9110, section 13.1.2).
fn is_known(asked: &HeaderMap, etag: &HeaderValue) -> bool {
    let lists = asked.get_all(header::IF_NONE_MATCH).into_iter();
    let mut tags = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"));
    tags.any(|tag| tag == "*" || tag == etag)
}

fn guarded(mut response: Response) -> Response {
    let guards = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in guards {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        path::{Path, PathBuf},
    };

    use super::{FILES, content_type};

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard")
    }

    fn paths_below(folder: &Path, under: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder.join(under)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{under}{name}");
            if entry.file_type().unwrap().is_dir() {
                paths_below(folder, &format!("{path}/"), found);
            } else {
                found.insert(path);
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let mut there = BTreeSet::new();
        paths_below(&folder(), "", &mut there);
        let embedded = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(there, embedded);
        for path in there {
            assert_ne!(content_type(&path), "application/octet-stream", "{path}");
        }
    }

    #[test]
    fn nothing_is_in_line_and_nothing_comes_from_elsewhere() {
        for (path, body) in FILES {
            let text = std::str::from_utf8(body).unwrap();
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "://cdn",
                "@import",
            ] {
                assert!(!text.contains(forbidden), "{path} has {forbidden}");
            }
            if path.ends_with(".html") {
                for forbidden in [" style=", "<style", " onclick", "<script>"] {
                    assert!(!text.contains(forbidden), "{path} has {forbidden}");
                }
            }
        }
    }
}
