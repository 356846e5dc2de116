//! The console as a browser, a program or a stranger meets it, over real sockets; the switch behind it is made up.

#![allow(clippy::unwrap_used)]

mod made;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use console::operators::{self, Operator};
use console::{Action, Config, Console, Direction, Role};
use made::{HOSTILE, Made};

struct Running {
    console: Console,
    switch: Arc<Made>,
    directory: tempfile::TempDir,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

const PASSPHRASE: &str = "right horse battery";

impl Running {
    fn start(environment: &'static str) -> Running {
        Running::with(environment, true)
    }

    fn with(environment: &'static str, gives_exemplars: bool) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let switch = Arc::new(Made::new(environment));
        let config = Config {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            hosts: Vec::new(),
            operators: directory.path().join("operators.toml"),
            gives_exemplars,
        };
        let console = console::start(config, switch.clone()).unwrap();
        let running = Running { console, switch, directory };
        while running.get("/startupz", "").status != 200 {
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }

    fn operators(&self) -> PathBuf {
        self.directory.path().join("operators.toml")
    }

    fn let_in(&self, name: &str, role: Role) {
        operators::set(&self.operators(), Operator::new(name, &[role], PASSPHRASE).unwrap()).unwrap();
    }

    fn send(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.console.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = Vec::new();
        _ = stream.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.into(), body: body.into() }
    }

    fn get(&self, path: &str, more: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n"))
    }

    fn post(&self, path: &str, more: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n{more}\r\n{body}"
        ))
    }

    /// The header that says who one is.
    fn sign_in(&self, name: &str) -> String {
        let answer =
            self.post("/sign-in", "", &format!("name={name}&passphrase={}&to=/", PASSPHRASE.replace(' ', "+")));
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        format!("Cookie: {}\r\n", cookie.split(';').next().unwrap())
    }

    fn form_token(&self, cookie: &str) -> String {
        hidden(&self.get("/", cookie).body, "form_token")
    }

    /// The number of a form that is shown anew.
    fn form(&self, path: &str, cookie: &str) -> String {
        hidden(&self.get(path, cookie).body, "form")
    }
}

fn hidden(page: &str, name: &str) -> String {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
    rest.split('"').next().unwrap().into()
}

#[test]
fn whoever_is_on_the_machine_may_look_and_do_nothing() {
    let running = Running::start("dev");
    for (path, part) in [
        ("/", "answers late"),
        ("/nodes", "Nodes and replication"),
        ("/participants/BANK-A", "BANK-A"),
        ("/actors/participant", "Busiest twenty"),
        ("/actors", "By kind"),
        ("/actors/participant/BANK-F", "What it decided last"),
        ("/actors/session/BANK-F", "this session is not encrypted"),
        ("/participants/BANK-F", "up to notice"),
        ("/tap?outcome=rejected&slower_than=2s", "Payments as they end"),
        ("/payments", "Payments"),
        ("/livez", "ok"),
        ("/readyz?verbose", "[+] journal\n"),
        ("/metrics", "crosstie_"),
        ("/static/console.js", "use strict"),
    ] {
        let answer = running.get(path, "");
        assert_eq!(answer.status, 200, "{path} {answer:?}");
        assert!(answer.body.contains(part), "{path}");
        for said in [
            "content-security-policy: default-src 'none'",
            "x-frame-options: DENY",
            "nosniff",
            "cache-control: no-store",
        ] {
            assert!(answer.head.contains(said), "{path} {}", answer.head);
        }
    }
    for (path, status) in [
        ("/participants/NOBODY", 404),
        ("/actors/nobody", 404),
        ("/actors/participant/nobody", 404),
        ("/actors/session/nobody", 404),
        ("/actors/journal/BANK-A", 404),
        ("/actors/participant/BANK-H", 409),
        ("/tap?outcome=lost", 422),
        ("/tap?outcome=lost&format=live", 422),
        ("/nowhere", 404),
        ("/static/..%2fCargo.toml", 404),
        ("/?sort=nonsense", 422),
        ("/?format=nonsense", 400),
        ("/payments?q=wrong", 422),
        ("/actions/nonsense", 404),
        ("/actions/suspend?participant=BANK-A", 403),
        ("/actions/drain", 403),
    ] {
        assert_eq!(running.get(path, "").status, status, "{path}");
    }
    assert_eq!(running.post("/actions/drain", "", "form_token=&reason=x").status, 403);
    assert!(running.switch.orders.lock().is_empty());
}

#[test]
fn the_rate_on_the_page_is_the_one_that_all_surfaces_tell() {
    let running = Running::start("dev");
    let rate = || {
        let now: serde_json::Value = serde_json::from_str(&running.get("/?format=json", "").body).unwrap();
        now["payments"]["settled_per_second"].as_f64().unwrap()
    };
    // Of one snapshot: it may be followed by the next meanwhile.
    let (told, page) = loop {
        let (before, page, after) = (rate(), running.get("/", "").body, rate());
        if before == after {
            break (before, page);
        }
    };
    assert!(told > 0.0 && page.contains(&format!(">{} /s<", watch::text::rate(told))), "{told} on {page}");
}

#[test]
fn exemplars_are_for_who_asks_for_open_metrics() {
    let running = Running::start("dev");
    let older = running.get("/metrics", "");
    assert!(older.head.contains("text/plain; version=0.0.4"), "{}", older.head);
    assert!(!older.body.contains("# {trace_id") && !older.body.contains("# EOF"));
    let newer = running.get("/metrics", "Accept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1\r\n");
    assert!(newer.head.contains("application/openmetrics-text; version=1.0.0"), "{}", newer.head);
    assert!(newer.body.contains("# {trace_id=\"") && newer.body.ends_with("# EOF\n"));

    let running = Running::with("dev", false);
    let bare = running.get("/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n");
    assert!(bare.head.contains("application/openmetrics-text"), "{}", bare.head);
    assert!(bare.body.contains("crosstie_transfer_duration_seconds_bucket") && bare.body.ends_with("# EOF\n"));
    assert!(!bare.body.contains("trace_id=\""), "no payment is named");
}

#[test]
fn an_actor_is_told_with_its_positions_or_where_it_is() {
    let running = Running::start("dev");
    let told: serde_json::Value =
        serde_json::from_str(&running.get("/actors/participant/BANK-F?format=json", "").body).unwrap();
    assert_eq!((told["queued"].as_u64(), told["deeds"].as_array().map(Vec::len)), (Some(3), Some(16)));
    assert_eq!(told["positions"]["BANK-F"][0]["currency"], "EUR");
    let session = running.get("/actors/session/BANK-F?format=json", "").body;
    assert!(session.contains("\"is_encrypted\":false"), "{session}");
    let elsewhere = running.get("/actors/participant/BANK-H", "");
    assert!(elsewhere.body.contains("leads: its console has this page"), "{}", elsewhere.body);
    let nobody = running.get("/actors/participant/NOBODY", "").body;
    assert!(nobody.contains("no participant of that name is registered"), "{nobody}");
}

#[test]
fn text_of_others_is_shown_as_text() {
    let running = Running::start("dev");
    let hostile = "%3Cimg%20src%3Dx%20onerror%3D%22document.title%3D'owned'%22%3E";
    for path in [
        "/",
        &format!("/participants/{hostile}"),
        &format!("/payments?q={hostile}"),
        &format!("/?filter={hostile}"),
        &format!("/sign-in?to=/{hostile}"),
    ] {
        let page = running.get(path, "").body;
        assert!(!page.contains("<img"), "{path}");
    }
    assert!(running.get("/", "").body.contains("&lt;img src=x"), "{HOSTILE}");
}

#[test]
fn strangers_names_and_pages_are_refused() {
    let running = Running::start("dev");
    let refused = running.send("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_eq!((refused.status, refused.body.contains("BANK")), (421, false), "{refused:?}");
    assert_eq!(running.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").status, 421);
    let foreign = "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nConnection: close\r\n\
                   Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(running.send(foreign).status, 403);
    assert_eq!(running.send("DELETE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").status, 405);
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
    assert!(matches!(running.send(&long).status, 0 | 400..=431), "headers are bounded");
    assert_eq!(
        running.post("/sign-in", "", &format!("name={}", "x".repeat(17 << 10))).status,
        413,
        "bodies are bounded"
    );
    assert_eq!(running.get("/livez", "").status, 200);
}

#[test]
fn who_has_operators_must_sign_in() {
    let running = Running::start("dev");
    running.let_in("wall", Role::Viewer);
    let away = running.get("/nodes?sort=x", "");
    assert_eq!(away.status, 303);
    assert!(away.head.contains("location: /sign-in?to=%2Fnodes"), "{}", away.head);
    assert_eq!(running.get("/?format=json", "").status, 401);
    assert_eq!(running.get("/readyz", "").status, 200, "machines do not sign in");

    let wrong = running.post("/sign-in", "", "name=wall&passphrase=no");
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("wrong"), "{}", wrong.body);
    let cookie = running.sign_in("wall");
    let page = running.get("/", &cookie);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("wall"));
    assert_eq!(running.get("/actions/drain", &cookie).status, 403, "a viewer");
    let drain = format!("form_token={}&reason=why+not", running.form_token(&cookie));
    assert_eq!(running.post("/actions/drain", &cookie, &drain).status, 403);
    let (order, why) = running.switch.forbidden.lock().pop().unwrap();
    assert_eq!((order.action, order.operator.as_str(), order.reason.as_str()), (Action::Drain, "wall", "why not"));
    assert!(why.contains("needs the role operator"), "the trail keeps who tried: {why}");
    assert_eq!(running.post("/actions/drain", &cookie, "form_token=guessed&reason=x").status, 403);
    assert!(running.switch.forbidden.lock().is_empty(), "not he, but a page of somebody else");

    let still = running.post("/sign-out", &cookie, "form_token=of-another-session");
    assert_eq!((still.status, running.get("/", &cookie).status), (403, 200), "{still:?}");
    let other = Operator::new("wall", &[Role::Viewer], "another horse battery").unwrap();
    operators::set(&running.operators(), other).unwrap();
    assert_eq!(running.get("/", &cookie).status, 303, "another passphrase, so out");
    running.let_in("wall", Role::Viewer);
    let cookie = running.sign_in("wall");

    operators::remove(&running.operators(), "wall").unwrap();
    assert_eq!(running.get("/", &cookie).status, 303, "removed, so out");
    running.let_in("wall", Role::Viewer);
    // At the same time no more are tried than one after another.
    let guess = || running.post("/sign-in", "", "name=wall&passphrase=no").status;
    let told: Vec<u16> = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..12).map(|_| scope.spawn(guess)).collect();
        guesses.into_iter().map(|own| own.join().unwrap()).collect()
    });
    let tried = told.iter().filter(|status| **status == 401).count();
    assert_eq!((tried, told.iter().all(|status| [401, 429].contains(status))), (4, true), "{told:?}");
    let right = format!("name=wall&passphrase={}", PASSPHRASE.replace(' ', "+"));
    assert_eq!(running.post("/sign-in", "", &right).status, 429, "after five wrong ones");
}

#[test]
fn what_cannot_be_read_is_told_in_words() {
    let running = Running::start("dev");
    running.let_in("op", Role::Operator);
    let cookie = running.sign_in("op");
    for (answer, status, words) in [
        (
            running.get("/?format=bogus", &cookie),
            400,
            "behind the question mark is not understood: format: unknown variant `bogus`",
        ),
        (running.get("/actions/explode", &cookie), 404, "there is no page /actions/explode"),
        (running.get("/participants/%ff", &cookie), 404, "there is no page /participants/%ff"),
        (
            running.post("/actions/drain", &cookie, "boom=1"),
            422,
            "nothing was changed: the form cannot be read: boom: unknown field `boom`",
        ),
        (
            running.post("/actions/drain", &cookie, &format!("reason={}", "x".repeat(17 << 10))),
            413,
            "it has more than 16384 bytes",
        ),
    ] {
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(words) && answer.body.ends_with('\n'), "{answer:?}");
    }
}

#[test]
fn who_does_not_read_takes_no_place_from_others() {
    let running = Running::start("dev");
    let asks = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
    let silent: Vec<TcpStream> = (0..140)
        .map(|_| {
            let mut stream = TcpStream::connect(running.console.address).unwrap();
            stream.set_nonblocking(true).unwrap();
            // As much as goes in without anything coming out.
            while stream.write(asks.as_bytes()).is_ok_and(|count| count > 0) {}
            stream
        })
        .collect();
    let start = std::time::Instant::now();
    let other = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        socket.connect(&running.console.address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(other().starts_with("HTTP/1.1 200"), "from another address");
    // Those who do not read are let go after a while, and then the address they come from is heard again.
    while running.get("/livez", "").status != 200 {
        assert!(start.elapsed() < Duration::from_secs(60), "their places are not given back");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(silent);
}

#[test]
fn a_deed_needs_role_reason_and_form() {
    let running = Running::start("prod");
    running.let_in("op", Role::Operator);
    let cookie = running.sign_in("op");
    let token = running.form_token(&cookie);
    let page = running.get("/actions/suspend?participant=BANK-A", &cookie);
    assert!(page.body.contains("28 in flight from BANK-A will finish"), "{}", page.body);
    assert_eq!(running.get("/actions/suspend?participant=NOBODY", &cookie).status, 404);
    assert_eq!(running.get("/actions/fund?participant=BANK-A", &cookie).status, 403, "that is the treasury's");

    let of = |form_token: &str, reason: &str, name: &str| {
        let form = running.form("/actions/suspend?participant=BANK-A", &cookie);
        format!(
            "form_token={form_token}&form={form}&participant=BANK-A&direction=send&reason={reason}&typed_name={name}"
        )
    };
    for (body, status) in [
        (of("guessed", "case+9", "BANK-A"), 403),
        (of(&token, "++", "BANK-A"), 422),
        (of(&token, "case+9", ""), 422),
        (of(&token, "case+9", "BANK-B"), 422),
        (of(&token, "case+9", "BANK-A") + "&more=1", 422),
        (of(&token, "case+9", "BANK-A").replace("send", "sideways"), 422),
        (of(&token, "case+9", "BANK-A").replace("&form=", "&form=0"), 409),
    ] {
        assert_eq!(running.post("/actions/suspend", &cookie, &body).status, status, "{body}");
    }
    assert_eq!(running.post("/actions/suspend", "", &of(&token, "case+9", "BANK-A")).status, 303, "to the sign-in");
    assert!(running.switch.orders.lock().is_empty(), "nothing has changed");

    let body = of(&token, "case+9", "BANK-A");
    let done = running.post("/actions/suspend", &cookie, &body);
    assert_eq!(done.status, 303, "{done:?}");
    assert!(done.head.contains("location: /participants/BANK-A"), "{}", done.head);
    assert!(running.get("/participants/BANK-A", &cookie).body.contains("by op"), "told once");
    assert!(!running.get("/participants/BANK-A", &cookie).body.contains("by op"));
    let again = running.post("/actions/suspend", &cookie, &body);
    assert_eq!((again.status, again.body.contains("sent before")), (409, true), "carried out once: {again:?}");
    let orders = running.switch.orders.lock().clone();
    let suspend = Action::Suspend { participant: "BANK-A".into(), direction: Direction::Send };
    assert_eq!(
        (orders.len(), &orders[0].action, orders[0].operator.as_str(), orders[0].reason.as_str()),
        (1, &suspend, "op", "case 9")
    );

    assert_eq!(running.post("/sign-out", &cookie, &format!("form_token={token}")).status, 303);
    assert_eq!(running.get("/", &cookie).status, 303);
}

fn ask(running: &Running, path: &str, more: &str) -> TcpStream {
    let mut stream = TcpStream::connect(running.console.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").as_bytes()).unwrap();
    stream
}

/// So many of the events that a page goes on with.
fn events(running: &Running, path: &str, count: usize, more: &str) -> Vec<String> {
    let mut stream = ask(running, path, more);
    let mut text = String::new();
    let mut some = [0; 65536];
    while text.matches("data: ").count() < count {
        let count = stream.read(&mut some).unwrap();
        assert!(count > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&some[..count]));
    }
    assert!(text.contains("text/event-stream"));
    text.split("data: ").skip(1).map(String::from).collect()
}

#[test]
fn a_page_goes_on_with_what_has_changed() {
    let running = Running::start("dev");
    let events = events(&running, "/?format=live", 3, "");
    assert!(events[0].contains("\\\"verdict") && events[0].contains("\"participants\""), "the first has all");
    assert!(!events[1].contains("\"verdict\"") && events[1].contains("\"clock\""), "the next what has changed");
    assert!(events[1].contains("\"bands\":[[") && events[1].contains("\"slowest\":[{"), "and a second of the charts");
}

#[test]
fn a_tap_goes_on_with_lines_until_one_is_signed_out() {
    let running = Running::start("dev");
    running.let_in("wall", Role::Viewer);
    assert_eq!(running.get("/tap?format=live", "").status, 401, "not for strangers");
    let cookie = running.sign_in("wall");
    let events = events(&running, "/tap?format=live&outcome=rejected", 3, &cookie);
    assert!(events[0].contains("\"clock\"") && events[0].contains("matched since"), "{}", events[0]);
    let rows: String = events.concat();
    assert!(rows.contains("rejected AC04 by BANK-C") && !rows.contains("settled"), "{rows}");
    assert!(rows.contains("/payments/7b0e0d4c") && rows.contains("more matched and are not shown"), "{rows}");

    let gathered = running.get("/tap?format=json", &cookie);
    let gathered: serde_json::Value = serde_json::from_str(&gathered.body).unwrap();
    assert!(
        gathered["lines"].as_array().unwrap().len() >= 3 && gathered["matched"].as_u64() >= Some(210),
        "{gathered}"
    );

    let refused = running.get("/tap?outcome=lost", &cookie);
    assert!(refused.body.contains("settled, rejected, timed_out, returned"), "{}", refused.body);
    assert!(refused.body.contains("name=\"outcome\""), "the form is there to set it right");

    let mut stream = ask(&running, "/tap?format=live", &cookie);
    let mut text = String::new();
    let mut until = |word: &str| {
        while !text.contains(word) {
            let mut some = [0; 4096];
            let count = stream.read(&mut some).unwrap();
            assert!(count > 0, "{word} comes: {text}");
            text.push_str(&String::from_utf8_lossy(&some[..count]));
        }
    };
    until("data: ");
    operators::remove(&running.operators(), "wall").unwrap();
    until("event: end");
    until("You are signed out.");
}

/// Two for each session; who has them still gets the page, which says why no lines come.
#[test]
fn one_visitor_leaves_taps_to_others() {
    let running = Running::start("dev");
    running.let_in("wall", Role::Viewer);
    let [own, other] = [(); 2].map(|()| running.sign_in("wall"));
    let mut open: Vec<TcpStream> = (0..2).map(|_| ask(&running, "/tap?format=live", &own)).collect();
    for stream in &mut open {
        assert!(stream.read(&mut [0; 1]).unwrap() > 0, "it goes on");
    }
    let refused = running.get("/tap?format=json", &own);
    assert_eq!((refused.status, refused.body.contains("2 taps open already")), (409, true), "{refused:?}");
    let told = running.get("/tap?format=live", &own);
    assert!(told.body.contains("event: end") && told.body.contains("2 taps open already"), "{told:?}");
    assert_eq!(running.get("/tap", &own).status, 200);
    assert_eq!(running.get("/tap?format=json", &other).status, 200);
    open.pop();
    let mut left = 200;
    while running.get("/tap?format=json", &own).status != 200 {
        left -= 1;
        assert!(left > 0, "the place is free again");
        std::thread::sleep(Duration::from_millis(20));
    }
}
