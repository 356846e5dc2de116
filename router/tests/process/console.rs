//! The console in a real browser, before a real node.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use wire::client::{Client, FinalStatus, Options, Reply, Transfer};
use wire::{Currency, Message, Money, Reason};

use crate::browser::Browser;
use crate::support::Node;

const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\">";

async fn connect(node: &Node, id: &str) -> Client {
    let (client, mut notices) = Client::connect(Options::new(node.address(), id.parse().unwrap())).await.unwrap();
    let answering = client.clone();
    tokio::spawn(async move {
        while let Ok(Some(notice)) = notices.next().await {
            if let Message::TransferNotice(offer) = notice.view() {
                let (payer, uetr) = (offer.transfer.debtor_agent, offer.transfer.uetr);
                // Yes to whole amounts.
                let says_yes = offer.transfer.amount_minor % 100 == 0;
                let reply = if says_yes { Reply::yes(payer, uetr) } else { Reply::no(payer, uetr, Reason::AC04) };
                answering.answer(&reply).await.unwrap();
            }
            notices.processed(&notice);
        }
    });
    client
}

/// What `/metrics` answers to who accepts this.
fn metrics(address: &str, accept: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.into()
}

/// The sum of a metric's series of which the labels hold `part`.
fn metric(address: &str, name: &str, part: &str) -> u64 {
    let text = metrics(address, "*/*");
    let series = text.lines().filter(|line| line.starts_with(name) && line.contains(part));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
}

#[tokio::test(flavor = "current_thread")]
async fn the_page_in_a_browser() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("node.toml");
    std::fs::write(&file, "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"900.00\"\ncount = 3\n")
        .unwrap();
    let log = data.path().join("log");
    let settings = ["--set", "ops.address=127.0.0.1:0", "--set", "node.environment=prod"];
    let node = Node::start(&log, &[&["--config", file.to_str().unwrap()], settings.as_slice()].concat());
    let page = node.ready["console"].as_str().unwrap().to_string();
    let address = page.strip_prefix("http://").unwrap().to_string();
    // What ended before the first snapshot is of no second.
    while !metrics(&address, "*/*").contains("crosstie_transfers_finished_total") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let (debtor, _creditor) = (connect(&node, "BANK-0001").await, connect(&node, "BANK-0002").await);
    let pay = async |amount: &str| {
        let amount = Money::parse(amount, Currency::EUR).unwrap();
        let transfer = Transfer::new("BANK-0002".parse().unwrap(), amount).from(HOSTILE, "DE01").to(HOSTILE, "DE02");
        let handle = debtor.submit(&transfer.remittance_information(HOSTILE)).await.unwrap();
        (handle.uetr().to_string(), handle.outcome().await.unwrap().status)
    };
    let mut paid = Vec::new();
    for _ in 0..25 {
        let (uetr, status) = pay("2.00").await;
        assert_eq!(status, FinalStatus::Settled);
        paid.push(uetr);
    }
    let passphrase = node.ask(&["operator", "add", "ann", "--role", "operator", "--reason", "a test"]).with(0).stdout;
    let (ask, mut asked) = unbounded_channel();
    let walking =
        tokio::task::spawn_blocking(move || walk(&node, &page, &address, &paid, passphrase.trim(), &Payments(ask)));
    while let Some(amount) = asked.recv().await {
        pay(amount).await;
    }
    walking.await.unwrap();
}

/// From a slow tail to a payment of it: on the map, in the table, and by the exemplars that Prometheus reads.
fn from_the_tail(browser: &mut Browser, address: &str, paid: &[String]) {
    browser.until("document.querySelectorAll('#latency .layer rect').length > 0");
    browser.until("document.querySelector('#latency .layer a') != null");
    browser.eval("document.getElementById('slow').open = true");
    browser.until("document.querySelector('#slow tbody a') != null");
    let counts = browser
        .eval("[...document.querySelectorAll('#slow table:first-child td:nth-child(2)')].map((own) => own.innerText)");
    let ended: u64 =
        counts.as_array().unwrap().iter().map(|count| count.as_str().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(ended, 25, "all that ended are on the map: {counts}");
    assert_eq!(browser.barriers(), [""; 0], "with its table");
    let place = browser.eval(
        "(() => { const mark = document.querySelector('#latency .layer a'); mark.scrollIntoView({ block: 'center' }); \
         const box = mark.querySelector('path').getBoundingClientRect(); \
         return [box.x + box.width / 2, box.y + box.height / 2, mark.getAttribute('href')]; })()",
    );
    for (kind, count) in [("mousePressed", 1), ("mouseReleased", 1)] {
        let mouse = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": count });
        browser.call("Input.dispatchMouseEvent", mouse);
    }
    browser.until(&format!("location.pathname == {} && document.readyState == 'complete'", place[2]));
    let story = browser.text();
    assert!(story.contains("settled") && story.contains("BANK-0002"), "{story}");

    let text = metrics(address, "application/openmetrics-text; version=1.0.0");
    let found: Vec<&str> = text.split("# {trace_id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(!found.is_empty(), "{text}");
    for id in found {
        assert!(paid.iter().any(|uetr| uetr.replace('-', "") == id), "{id} is none of {paid:?}");
    }
    read_by_prometheus(&text);
}

/// Where promtool is, it reads the text as Prometheus does: each sample with a time, since it makes blocks of them.
fn read_by_prometheus(text: &str) {
    let directory = tempfile::tempdir().unwrap();
    let timed = text.lines().map(|line| match line.split_once(" # ") {
        _ if line.starts_with('#') => line.to_string(),
        Some((sample, exemplar)) => format!("{sample} 1764000000 # {exemplar}"),
        None => format!("{line} 1764000000"),
    });
    let file = directory.path().join("metrics");
    std::fs::write(&file, timed.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let mut promtool = Command::new("promtool");
    promtool.args(["tsdb", "create-blocks-from", "openmetrics"]).args([&file, directory.path()]);
    let Ok(said) = promtool.output() else {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing: tests/run installs it");
        return;
    };
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

/// Pays while somebody walks through the pages.
struct Payments(UnboundedSender<&'static str>);

/// On the page for that.
fn sign_in(browser: &mut Browser, name: &str, passphrase: &str) {
    browser.eval(&format!(
        "document.getElementById('name').value = '{name}'; document.getElementById('passphrase').value = '{passphrase}'; \
         document.querySelector('form.stacked button').click()"
    ));
}

/// What an operator does.
fn walk(node: &Node, page: &str, address: &str, paid: &[String], passphrase: &str, payments: &Payments) {
    let mut browser = Browser::start();
    browser.look(1280, 800, "light");
    browser.open(&format!("{page}/"));
    browser.until("location.pathname == '/sign-in' && document.title.startsWith('Sign in')");
    assert_eq!(browser.barriers(), [""; 0], "sign-in");
    sign_in(&mut browser, "ann", passphrase);
    browser.until("location.pathname == '/' && document.readyState == 'complete'");

    // Live: what the page says is what the metrics say.
    browser.until("document.getElementById('freshness').textContent == '● live'");
    browser.until("document.querySelector('[data-part=tiles]').innerText.includes('25 since start')");
    assert_eq!(metric(address, "crosstie_transfers_finished_total", "outcome=\"settled\""), 25);
    browser.until("document.querySelectorAll('.u-over').length == 2");
    let clock = browser.eval("document.querySelector('[data-part=clock]').innerText").to_string();
    browser.until(&format!("JSON.stringify(document.querySelector('[data-part=clock]').innerText) != {clock:?}"));
    for (width, height, scheme) in [(1280, 800, "light"), (390, 844, "dark")] {
        browser.look(width, height, scheme);
        assert_eq!(browser.barriers(), [""; 0], "overview {width} {scheme}");
        assert_eq!(
            browser.eval("document.documentElement.scrollWidth > innerWidth"),
            false,
            "it is not wider than {width}"
        );
    }
    browser.look(1280, 800, "light");
    from_the_tail(&mut browser, address, paid);
    let took_ms = (0..3).map(|_| {
        browser.open(&format!("{page}/"));
        browser.until("performance.getEntriesByType('navigation')[0].loadEventEnd > 0");
        browser.eval("performance.getEntriesByType('navigation')[0].loadEventEnd").as_f64().unwrap()
    });
    let fastest_ms = took_ms.fold(f64::INFINITY, f64::min);
    assert!(fastest_ms < 1000.0, "it loads within a second: {fastest_ms} ms");

    // A payment, and text of others.
    let uetr = &paid[paid.len() - 1];
    browser.open(&format!("{page}/payments?q={uetr}"));
    browser.until(&format!("location.pathname == '/payments/{uetr}'"));
    let story = browser.text();
    assert!(story.contains("settled") && story.contains("BANK-0002"), "{story}");
    assert_eq!(browser.barriers(), [""; 0], "story");
    browser.open(&format!("{page}/payments"));
    browser.eval(&format!(
        "document.getElementById('search').value = {HOSTILE:?}; document.querySelector('form.search').submit()"
    ));
    browser.until(
        "document.querySelector('.problem') != null && document.getElementById('search').value.startsWith('<img')",
    );
    assert_ne!(browser.eval("document.title"), "owned");
    assert_eq!(browser.eval("document.querySelectorAll('main img').length"), 0);
    // That page was answered with 422, and Chromium notes every such answer.
    browser.complaints.retain(|complaint| !complaint.contains("status of 422"));

    tap(&mut browser, page, payments);
    keys_and_actors(&mut browser, page, uetr);

    // A deed: what will happen is said, the name is typed, and the command line sees it.
    browser.open(&format!("{page}/participants/BANK-0003"));
    assert_eq!(browser.barriers(), [""; 0], "participant");
    browser.eval("[...document.querySelectorAll('.actions a')].find((own) => own.innerText == 'Suspend').click()");
    browser.until("location.pathname == '/actions/suspend' && document.readyState == 'complete'");
    assert!(browser.text().contains("are refused with S946"));
    assert_eq!(browser.barriers(), [""; 0], "suspend");
    let fill = |typed: &str| {
        format!(
            "document.querySelector('[name=direction][value=send]').checked = true; document.getElementById('reason').value = 'case 9'; \
             document.getElementById('typed_name').value = '{typed}'; document.querySelector('button.act').click()"
        )
    };
    browser.eval(&fill("BANK-0001"));
    browser.until("document.querySelector('.problem') != null");
    let suspended = |node: &Node| node.ask(&["participant", "show", "BANK-0003", "--json"]).with(0).json();
    assert_eq!(suspended(node)["suspended_sending"], false);
    browser.complaints.retain(|complaint| !complaint.contains("status of 422"));
    browser.eval(&fill("BANK-0003"));
    browser.until("document.querySelector('.notice') != null && location.pathname.startsWith('/participants/')");
    assert!(browser.text().contains("BANK-0003 is suspended from sending"), "{}", browser.text());
    let now = suspended(node);
    assert_eq!((&now["suspended_sending"], &now["suspended_receiving"]), (&true.into(), &false.into()));
    browser.until("document.querySelector('.state').textContent == 'suspended sending'");
    browser.open(&format!("{page}/nodes"));
    assert_eq!(browser.barriers(), [""; 0], "nodes");
    browser.open(&format!("{page}/audit"));
    let trail = browser.text();
    assert!(["ann", "suspend", "BANK-0003", "case 9", "done"].iter().all(|part| trail.contains(part)), "{trail}");
    assert_eq!(browser.barriers(), [""; 0], "audit");
    assert_eq!(browser.complaints, [""; 0]);
}

/// A filtered tap shows what fits it and nothing else, as it ends.
fn tap(browser: &mut Browser, page: &str, payments: &Payments) {
    browser.open(&format!("{page}/tap?outcome=rejected&participant=BANK-0002"));
    browser.until("document.getElementById('freshness').textContent == '● live'");
    browser.until("document.querySelector('[data-part=tap]').innerText.includes('0 matched since')");
    assert_eq!(browser.barriers(), [""; 0], "an empty tap");
    ["3.00", "0.01"].into_iter().for_each(|amount| payments.0.send(amount).unwrap());
    browser.until("document.querySelectorAll('[data-lines] tr').length > 0");
    let lines = browser.eval("document.querySelector('[data-lines]').innerText").to_string();
    assert!(lines.contains("rejected AC04 by BANK-0002") && lines.contains("0.01"), "{lines}");
    assert!(!lines.contains("settled") && !lines.contains("3.00"), "{lines}");
    assert_eq!(browser.eval("document.querySelectorAll('[data-lines] tr').length"), 1);
    browser.until("document.querySelector('[data-part=tap]').innerText.startsWith('1 matched since')");
    for (width, height, scheme) in [(1280, 800, "light"), (390, 844, "dark")] {
        browser.look(width, height, scheme);
        assert_eq!(browser.barriers(), [""; 0], "tap {width} {scheme}");
        assert_eq!(browser.eval("document.documentElement.scrollWidth > innerWidth"), false, "tap, {width} wide");
    }
    browser.look(1280, 800, "light");
    press(browser, "p");
    browser.until("document.getElementById('freshness').textContent.includes('paused')");
    assert_eq!(browser.eval("document.querySelectorAll('[data-lines] tr').length"), 1, "to be read");
    browser.eval("document.querySelector('[data-lines] th a').click()");
    browser.until("location.pathname.startsWith('/payments/') && document.readyState == 'complete'");
    assert!(browser.text().contains("rejected"));

    browser.open(&format!("{page}/tap?outcome=lost"));
    let refused = browser.text();
    assert!(refused.contains("settled, rejected, timed_out, returned"), "{refused}");
    assert_eq!(browser.barriers(), [""; 0], "a wrong filter");
    browser.complaints.retain(|complaint| !complaint.contains("status of 422"));
}

fn press(browser: &mut Browser, key: &str) {
    browser
        .eval(&format!("document.body.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true }}))"));
}

/// From a key to all kinds, to one kind, to one actor, to a payment it decided; every link is of the page.
fn keys_and_actors(browser: &mut Browser, page: &str, uetr: &str) {
    press(browser, "/");
    assert_eq!(browser.eval("document.activeElement.id"), "search");
    browser
        .eval("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }))");
    assert_eq!(browser.eval("document.activeElement.tagName"), "BODY");
    press(browser, "?");
    assert_eq!(browser.eval("document.getElementById('help').open"), true);
    press(browser, "?");
    assert!(browser.text().contains("Live tap"));
    press(browser, "g");
    press(browser, "k");
    let click = |browser: &mut Browser, name: &str, path: &str| {
        browser.eval(&format!(
            "[...document.querySelectorAll('main a')].find((own) => own.innerText == '{name}').click()"
        ));
        browser.until(&format!("location.pathname == '{path}' && document.readyState == 'complete'"));
    };
    browser.until("location.pathname == '/actors' && document.readyState == 'complete'");
    assert_eq!(browser.barriers(), [""; 0], "actors");
    click(browser, "participant", "/actors/participant");
    click(browser, "BANK-0001", "/actors/participant/BANK-0001");
    let text = browser.text();
    for part in ["In its mailbox", "Offered and not ended", "What it decided last", "reserved", uetr] {
        assert!(text.to_lowercase().contains(&part.to_lowercase()), "{part} is not in\n{text}");
    }
    assert_eq!(browser.barriers(), [""; 0], "an actor");
    click(browser, uetr, &format!("/payments/{uetr}"));
    click(browser, "BANK-0002", "/participants/BANK-0002");
    browser.until("document.querySelector('[data-part=session]').innerText.includes('this session is not encrypted')");
    browser.open(&format!("{page}/actors/participant/NOBODY"));
    assert!(browser.text().contains("no participant of that name is registered"), "{}", browser.text());
    browser.complaints.retain(|complaint| !complaint.contains("status of 404"));
}

/// The page before a deed is filled in and sent; what the page says then.
fn ask_for(browser: &mut Browser, url: &str, fields: &[(&str, &str)]) -> String {
    browser.open(url);
    for (name, text) in fields {
        browser.eval(&format!("document.getElementById('{name}').value = '{text}'"));
    }
    browser.eval("document.body.dataset.page = 'before'; document.querySelector('button.act').click()");
    browser.until("document.readyState == 'complete' && document.body.dataset.page != 'before'");
    browser.text()
}

#[test]
fn money_needs_two_people_at_the_page() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("node.toml");
    std::fs::write(&file, "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"900.00\"\n").unwrap();
    let settings = ["--set", "ops.address=127.0.0.1:0", "--set", "operators.second_person=money"];
    let arguments = [&["--config", file.to_str().unwrap()], settings.as_slice()].concat();
    let node = Node::start(&data.path().join("log"), &arguments);
    let page = node.ready["console"].as_str().unwrap().to_string();
    let [tom, eve] = ["tom", "eve"].map(|name| {
        let add = ["operator", "add", name, "--role", "treasury", "--role", "approver", "--reason", "a test"];
        node.ask(&add).with(0).stdout.trim().to_string()
    });
    let funded =
        || node.ask(&["participant", "show", "BANK-0001", "--json"]).with(0).json()["positions"][0]["funded"].clone();
    let mut browser = Browser::start();
    let at = |browser: &mut Browser, name: &str, passphrase: &str| {
        if browser.eval("document.querySelector('form.who button') != null") == true {
            browser.eval("document.querySelector('form.who button').click()");
        } else {
            browser.open(&format!("{page}/tasks"));
        }
        browser.until("location.pathname == '/sign-in' && document.readyState == 'complete'");
        sign_in(browser, name, passphrase);
        browser.until("location.pathname != '/sign-in' && document.querySelector('form.who') != null");
    };
    let fund = format!("{page}/actions/fund?participant=BANK-0001");
    let propose = |browser: &mut Browser, amount: &str| {
        let told = ask_for(browser, &fund, &[("amount", amount), ("reason", "statement 4")]);
        let (_, task) = told.split_once("as task ").unwrap_or_else(|| panic!("{told}"));
        task.split(':').next().unwrap().to_string()
    };
    let ways = |browser: &mut Browser, task: &str| {
        browser.open(&format!("{page}/tasks"));
        browser.eval(&format!(
            "[...document.querySelectorAll('tbody tr')].filter((row) => row.cells[0].innerText == '{task}') \
             .map((row) => row.cells[row.cells.length - 1].innerText).join()"
        ))
    };

    // Whoever proposes may withdraw, and not approve, not even by the address of that page.
    at(&mut browser, "tom", &tom);
    let task = propose(&mut browser, "50.00");
    assert_eq!((ways(&mut browser, &task), funded()), ("Withdraw".into(), "900.00".into()));
    assert_eq!(browser.barriers(), [""; 0], "tasks");
    let own = format!("{page}/actions/approve?task={task}");
    let told = ask_for(&mut browser, &own, &[("reason", "mine")]);
    assert!(told.contains("was proposed by tom") && funded() == "900.00", "{told}");

    // The other one approves, and it is done once.
    at(&mut browser, "eve", &eve);
    assert_eq!(ways(&mut browser, &task), "Approve Refuse");
    browser.eval("[...document.querySelectorAll('main a')].find((own) => own.innerText == 'Approve').click()");
    browser.until("location.pathname == '/actions/approve' && document.readyState == 'complete'");
    let parts = ["done at once, in both names", "fund", "50.00", "BANK-0001", "statement 4", "tom"];
    assert!(parts.iter().all(|part| browser.text().contains(part)), "{}", browser.text());
    assert_eq!(browser.barriers(), [""; 0], "approve");
    let told = ask_for(&mut browser, &own, &[("reason", "seen")]);
    assert!(told.contains(&format!("Task {task} is approved and done")) && funded() == "950.00", "{told}");
    browser.open(&own);
    assert!(browser.text().contains("it has ended"), "{}", browser.text());

    // Refused by the other, withdrawn by himself: nothing moves.
    let theirs = propose(&mut browser, "7.00");
    at(&mut browser, "tom", &tom);
    let told = ask_for(&mut browser, &format!("{page}/actions/refuse?task={theirs}"), &[("reason", "wrong bank")]);
    assert!(told.contains(&format!("Task {theirs} is refused")), "{told}");
    let task = propose(&mut browser, "8.00");
    let told = ask_for(&mut browser, &format!("{page}/actions/withdraw?task={task}"), &[("reason", "too much")]);
    assert!(told.contains(&format!("Task {task} is withdrawn")) && funded() == "950.00", "{told}");
    node.ask(&["audit", "verify"]).with(0);
    browser.open(&format!("{page}/audit"));
    let trail = browser.text();
    let parts = ["by the second person: wrong bank", "too much", "withdrawn", "entries, each follows"];
    assert!(parts.iter().all(|part| trail.contains(part)), "{trail}");

    // What was asked for at the page stands in the log under names of its own.
    browser.eval("document.querySelector('form.who button').click()");
    browser.until("location.pathname == '/sign-in' && document.readyState == 'complete'");
    sign_in(&mut browser, "tom", "guessed");
    browser.until("document.querySelector('.problem') != null");
    drop(browser);
    let log = node.stop();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |event: &str, parts: &[(&str, &str)]| {
        let is_it =
            |line: &&serde_json::Value| line["event"] == event && parts.iter().all(|(key, text)| line[*key] == *text);
        assert!(lines.iter().any(|line| is_it(&line)), "{event} {parts:?} is not in\n{log}");
    };
    has("signed_in", &[("operator", "tom"), ("from", "127.0.0.1")]);
    has("signed_out", &[("operator", "eve")]);
    has("sign_in_refused", &[("why", "wrong name or passphrase")]);
    has("console_action", &[("action", "approve"), ("operator", "tom"), ("result", "refused")]);
    has("console_action", &[("action", "approve"), ("operator", "eve"), ("result", "done")]);
    has("operator_action", &[("action", "withdraw_task"), ("result", "done")]);
    let strange = |line: &&serde_json::Value| line["library"].as_str().is_some_and(|own| own.starts_with("console"));
    assert_eq!(lines.iter().find(strange), None);
    assert!(!log.contains("guessed") && !log.contains("too much"), "{log}");
}
