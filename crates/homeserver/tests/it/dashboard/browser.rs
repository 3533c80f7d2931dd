//! A real browser without a window, driven over WebDriver.

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bridgehead_testkit::{Process, TestServer};
use fantoccini::{
    Client, ClientBuilder, Locator,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use url::Url;

/// A browser on a busy machine takes its time.
const WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// The keys of WebDriver, section 17.4.2.
pub(crate) const TAB: &str = "\u{E004}";
pub(crate) const ENTER: &str = "\u{E007}";
pub(crate) const ESCAPE: &str = "\u{E00C}";
pub(crate) const LEFT: &str = "\u{E012}";

/// A desktop's window and a phone's.
pub(crate) const DESKTOP: (u32, u32) = (1280, 900);
pub(crate) const PHONE: (u32, u32) = (360, 740);

/// A program that `cargo xtask test` provides. Without it a test fails: a skipped proof proves
/// nothing.
fn needed(variable: &str) -> PathBuf {
    let found = std::env::var_os(variable).map(PathBuf::from);
    found.unwrap_or_else(|| {
        panic!("{variable} is not set: run `cargo xtask test`, which installs the browser")
    })
}

/// The browser, at one server's dashboard.
pub(crate) struct Browser {
    client: Client,
    base: String,
}

/// What has to outlive the browser: only its driver can end it, and it writes into its profile until then.
struct Held {
    _driver: Process,
    _profile: TempDir,
}

/// Gives a test a browser, and ends the browser however the test ends.
pub(crate) async fn with_browser<F>(server: &TestServer, test: impl FnOnce(Browser) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (browser, held) = Browser::start(server).await;
    let client = browser.client.clone();
    let outcome = tokio::spawn(test(browser)).await;
    client.close().await.ok();
    drop(held);
    if let Err(failed) = outcome {
        std::panic::resume_unwind(failed.into_panic());
    }
}

impl Browser {
    async fn start(server: &TestServer) -> (Self, Held) {
        let profile = TempDir::with_prefix("bridgehead-browser-").unwrap();
        let mut command = Command::new(needed("BRIDGEHEAD_TEST_CHROMEDRIVER"));
        command.arg("--port=0");
        let driver = Process::spawn("chromedriver", command).unwrap();
        let mut port = None;
        let told = |lines: &[String]| {
            port = lines.iter().find_map(|line| {
                let (_, port) = line.split_once("successfully on port ")?;
                port.trim_end_matches('.').parse::<u16>().ok()
            });
            port.is_some()
        };
        let started = driver.wait_for_output("the driver's port", WITHIN, told);
        started.await.unwrap();
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities(profile.path()))
            .connect(&format!("http://127.0.0.1:{}", port.unwrap()))
            .await
            .unwrap();
        let browser = Self {
            client,
            base: server.base_url(),
        };
        let held = Held {
            _driver: driver,
            _profile: profile,
        };
        browser.size(DESKTOP).await;
        browser.prefer("light").await;
        (browser, held)
    }

    /// Goes to the dashboard, at an address within it.
    pub(crate) async fn go(&self, hash: &str) {
        let url = format!("{}/_bridgehead/{hash}", self.base);
        self.client.goto(&url).await.unwrap();
    }

    /// Goes to an address within the dashboard without loading it again.
    pub(crate) async fn turn_to(&self, hash: &str, title: &str) {
        self.js(&format!("location.hash = {}", json!(hash))).await;
        let is_there = format!("document.title.startsWith({})", json!(title));
        self.wait(&is_there).await;
    }

    /// Loads the page again.
    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// Signs in with a token.
    pub(crate) async fn sign_in(&self, token: &str) {
        self.go("").await;
        self.fill("#token", token).await;
        self.click(".login button[type=submit]").await;
        self.wait("!document.getElementById('bar').hidden").await;
    }

    /// What a script in the page gives back.
    pub(crate) async fn js(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until an expression is true in the page.
    pub(crate) async fn wait(&self, condition: &str) {
        let script = format!("return Boolean({condition})");
        let started_at = Instant::now();
        while started_at.elapsed() < WITHIN {
            // Between two pages there may be nobody to ask.
            if let Ok(Value::Bool(true)) = self.client.execute(&script, Vec::new()).await {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
        self.screenshot("failed").await;
        let page = self.js("return document.body.innerText").await;
        let told = self.console().await;
        panic!("not within {WITHIN:?}: {condition}\n{told:?}\n{page}");
    }

    /// Waits until an element's text, hidden or not, contains this.
    pub(crate) async fn wait_text(&self, css: &str, text: &str) {
        let (css, text) = (json!(css), json!(text));
        self.wait(&format!(
            "[...document.querySelectorAll({css})].some((one) => one.textContent.includes({text}))"
        ))
        .await;
    }

    /// Waits until no element matches any more.
    pub(crate) async fn wait_gone(&self, css: &str) {
        let css = json!(css);
        self.wait(&format!("document.querySelector({css}) === null"))
            .await;
    }

    /// The text of an element, hidden or not.
    pub(crate) async fn text(&self, css: &str) -> String {
        let css = json!(css);
        let script = format!("return document.querySelector({css}).textContent");
        self.js(&script).await.as_str().unwrap().to_owned()
    }

    /// The texts of all elements that match.
    pub(crate) async fn texts(&self, css: &str) -> Vec<String> {
        let css = json!(css);
        let script =
            format!("return [...document.querySelectorAll({css})].map((one) => one.textContent)");
        serde_json::from_value(self.js(&script).await).unwrap()
    }

    /// Clicks as a person does: the element is there, can be seen, and nothing is before it.
    pub(crate) async fn click(&self, css: &str) {
        let waiting = self.client.wait().at_most(WITHIN);
        let element = waiting.for_element(Locator::Css(css)).await.unwrap();
        element.click().await.unwrap();
    }

    /// Writes into a field, instead of what was there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let waiting = self.client.wait().at_most(WITHIN);
        let element = waiting.for_element(Locator::Css(css)).await.unwrap();
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Types where the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let focused = self.client.active_element().await.unwrap();
        focused.send_keys(keys).await.unwrap();
    }

    /// Presses Tab until the element with this selector has the focus.
    pub(crate) async fn tab_to(&self, css: &str) {
        let script = format!("return document.activeElement.matches({})", json!(css));
        for _ in 0..200 {
            self.press(TAB).await;
            if self.js(&script).await == true {
                return;
            }
        }
        panic!("{css} cannot be reached with the Tab key");
    }

    /// Gives the page this much room.
    pub(crate) async fn size(&self, (width, height): (u32, u32)) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// Sets whether the person prefers `light` or `dark`; nothing moves, so that colours are there
    /// at once.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Takes the browser off the network, or back.
    pub(crate) async fn reach_network(&self, may: bool) {
        let conditions = json!({
            "offline": !may, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.devtools("Network.enable", json!({})).await;
        self.devtools("Network.emulateNetworkConditions", conditions)
            .await;
    }

    /// Writes a picture of the whole page to `target/dashboard-screenshots/`.
    pub(crate) async fn screenshot(&self, name: &str) {
        let size =
            "return [document.documentElement.clientWidth, document.documentElement.scrollHeight]";
        let size = self.js(size).await;
        let answer = self
            .devtools(
                "Page.captureScreenshot",
                json!({
                    "captureBeyondViewport": true,
                    "clip": { "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 },
                }),
            )
            .await;
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/dashboard-screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let encoded = answer["data"].as_str().unwrap();
        let picture = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, encoded).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }

    /// Nothing sticks out to the right.
    pub(crate) async fn assert_no_sideways_scrolling(&self, where_: &str) {
        let widths = "return [document.documentElement.scrollWidth, innerWidth]";
        let widths = self.js(widths).await;
        let (is, may) = (widths[0].as_u64().unwrap(), widths[1].as_u64().unwrap());
        assert!(is <= may, "{where_} is {is} px wide in a window of {may}");
    }

    /// The console has nothing but refusals that the test has brought about: parts of their lines.
    pub(crate) async fn assert_console_is_clean(&self, expected: &[&str]) {
        let mut told = self.console().await;
        told.retain(|line| !expected.iter().any(|part| line.contains(part)));
        assert!(told.is_empty(), "{told:#?}");
    }

    async fn console(&self) -> Vec<String> {
        let entries = self.command("se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().unwrap().iter();
        entries
            .map(|entry| format!("{}: {}", entry["level"], entry["message"]))
            .collect()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.command("goog/cdp/execute", body).await
    }

    async fn command(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Post { path, body }).await.unwrap()
    }
}

fn capabilities(profile: &Path) -> Capabilities {
    let options = json!({
        "binary": needed("BRIDGEHEAD_TEST_CHROMIUM"),
        "args": [
            "--headless=new",
            // The tests may run as root, and load nothing but the server's own pages.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en",
            format!("--user-data-dir={}", profile.display()),
        ],
    });
    let all = json!({
        "browserName": "chrome",
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": options,
    });
    all.as_object().unwrap().clone()
}

/// A command that only this browser's driver has.
#[derive(Debug)]
struct Post {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Post {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
