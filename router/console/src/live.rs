//! A page made of the snapshot, in three forms of one URL: a page, `?format=json` for programs, and `?format=live`, which
//! goes on: once a second what has changed since, as server-sent events. All three are drawn by the same code, so they say
//! the same; a page without its script is complete and stands still.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Json, Response};
use maud::Markup;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch as channel;
use watch::Moment;

use crate::app::{App, Asked};
use crate::look::Look;
use crate::visitor::Visitor;
use crate::{Problem, ProblemKind, frame, heat};

/// What stands behind the question mark of a page.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Ask {
    #[serde(default)]
    pub(crate) format: Format,
    /// A search in words.
    #[serde(default)]
    pub(crate) q: String,
    /// By which column the page's table is sorted; empty: worst first.
    #[serde(default)]
    pub(crate) sort: String,
    #[serde(default)]
    pub(crate) reverse: Reverse,
    #[serde(default)]
    pub(crate) filter: String,
    /// Whom or what an action or a tap is about.
    #[serde(default)]
    pub(crate) participant: String,
    /// What is tapped.
    #[serde(default)]
    pub(crate) outcome: String,
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) slower_than: String,
    #[serde(default)]
    pub(crate) task: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    #[default]
    Html,
    Json,
    Live,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reverse {
    #[default]
    No,
    Yes,
}

/// A part of a page.
pub(crate) struct Section {
    /// Of the element, and of its place on the page.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    /// What stands beside the title and does not change by itself.
    pub(crate) tools: Markup,
    /// Drawn anew each second.
    pub(crate) body: Markup,
}

pub(crate) trait View: Send + Sync + 'static {
    fn title(&self) -> String;
    fn sections(&self, look: &Look, visitor: &Visitor, ask: &Ask) -> Result<Vec<Section>, Problem>;
    /// The same for programs.
    fn json(&self, look: &Look) -> Value;
}

pub(crate) async fn show(asked: Asked, view: impl View) -> Response {
    let drawn = asked.app.look().and_then(|look| {
        let sections = view.sections(&look, &asked.visitor, &asked.ask)?;
        Ok((look, sections))
    });
    let (look, sections) = match drawn {
        Ok(drawn) => drawn,
        Err(problem) => return frame::problem(&asked, &problem),
    };
    match asked.ask.format {
        Format::Html => frame::live_page(&asked, &view.title(), &look, &sections).into_response(),
        Format::Json => Json(view.json(&look)).into_response(),
        Format::Live => live(asked, view),
    }
}

struct Stream<V> {
    app: Arc<App>,
    looks: channel::Receiver<Option<Look>>,
    visitor: Visitor,
    ask: Ask,
    view: V,
    /// As the page has them.
    told: HashMap<&'static str, String>,
}

fn live(asked: Asked, view: impl View) -> Response {
    let Asked { app, visitor, ask, .. } = asked;
    let mut looks = app.looks.clone();
    looks.mark_changed();
    let stream = Stream { app, looks, visitor, ask, view, told: HashMap::new() };
    let events = futures_util::stream::unfold(Some(stream), |stream| async move {
        let mut stream = stream?;
        stream.looks.changed().await.ok()?;
        match stream.next() {
            Ok(event) => Some((Ok::<_, Infallible>(Event::default().data(event.to_string())), Some(stream))),
            Err(why) => Some((Ok(Event::default().event("end").data(why)), None)),
        }
    });
    Sse::new(events).into_response()
}

impl<V: View> Stream<V> {
    /// What has changed since; or why there is no more.
    fn next(&mut self) -> Result<Value, String> {
        self.app.still_lets_in(&self.visitor)?;
        let look = self.looks.borrow_and_update().clone().ok_or("The node is starting.")?;
        let sections = self.view.sections(&look, &self.visitor, &self.ask).map_err(|problem| problem.message)?;
        let mut changed = serde_json::Map::new();
        let mut tell = |id: &'static str, body: Markup| {
            let body = body.into_string();
            if self.told.get(id) != Some(&body) {
                changed.insert(id.into(), Value::String(body.clone()));
                self.told.insert(id, body);
            }
        };
        tell("clock", frame::clock(&look));
        sections.into_iter().for_each(|section| tell(section.id, section.body));
        Ok(
            json!({ "parts": changed, "moment": look.moment.as_deref().map(|moment| columns(std::slice::from_ref(moment))) }),
        )
    }
}

/// Moments as charts want them: a list for every line.
pub(crate) fn columns(moments: &[Moment]) -> Value {
    let ms = |us: Option<u64>| us.map(|us| us as f64 / 1e3);
    let column = |of: &dyn Fn(&Moment) -> Option<f64>| moments.iter().map(of).collect::<Vec<_>>();
    let marks = moments.iter().flat_map(|moment| {
        let at = moment.at_ms as f64 / 1e3;
        moment.marks.iter().map(move |mark| json!({ "at": at, "kind": mark.kind, "sentence": mark.sentence }))
    });
    json!({
        "at": moments.iter().map(|moment| moment.at_ms as f64 / 1e3).collect::<Vec<_>>(),
        "settled": column(&|moment| Some(moment.settled_per_second)),
        "rejected": column(&|moment| Some(moment.rejected_per_second)),
        "timed_out": column(&|moment| Some(moment.timed_out_per_second)),
        "p50": column(&|moment| ms(moment.p50_us)),
        "p99": column(&|moment| ms(moment.p99_us)),
        "p999": column(&|moment| ms(moment.p999_us)),
        "bands": moments.iter().map(|moment| moment.bands).collect::<Vec<_>>(),
        "slowest": heat::slowest(moments),
        "marks": marks.collect::<Vec<_>>(),
    })
}

/// By which column a table is sorted, as `sort` names it.
pub(crate) fn order(heading: &[&str], ask: &Ask) -> Result<watch::rows::Order, Problem> {
    let is_reversed = ask.reverse == Reverse::Yes;
    if ask.sort.is_empty() {
        return Ok((None, is_reversed));
    }
    let column = heading.iter().position(|name| slug(name) == ask.sort);
    let unknown = || {
        let names: Vec<_> = heading.iter().map(|name| slug(name)).collect();
        Problem::new(ProblemKind::Usage, format!("sort: {:?} is none of {}", ask.sort, names.join(", ")))
    };
    Ok((Some(column.ok_or_else(unknown)?), is_reversed))
}

/// A column's name in a URL.
pub(crate) fn slug(name: &str) -> String {
    name.to_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
}
