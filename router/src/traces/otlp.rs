//! Spans as a collector of OpenTelemetry wants them: OTLP 1, protobuf.

use actors::trail::What;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as trace, ResourceSpans, ScopeSpans, Status};
use prost::Message;
use wire::Reason;

use super::span::{About, Span, Stage, id};

/// The body of a request that brings these spans from this node.
pub(super) fn request(node: &str, spans: &[Span]) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let attributes =
        vec![text("service.name", "crosstie"), text("service.version", version), text("service.instance.id", node)];
    let scope = InstrumentationScope { name: "crosstie".into(), version: version.into(), ..Default::default() };
    let spans = spans.iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }];
    let resource = Some(Resource { attributes, ..Default::default() });
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, scope_spans, ..Default::default() }] }
        .encode_to_vec()
}

/// Of a collector's answer: how many spans it did not take after all.
pub(super) fn refused(answer: &[u8]) -> usize {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    answer.partial_success.map_or(0, |partly| usize::try_from(partly.rejected_spans).unwrap_or(0))
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    keyed(key, Value::StringValue(value.into()))
}

fn keyed(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn name(stage: Stage, end: What) -> &'static str {
    match (stage, end) {
        (Stage::Payment, _) => "payment",
        (Stage::Reserve, _) => "reserve",
        (Stage::Creditor, _) => "creditor",
        (Stage::End, What::Rejected(..)) => "reject",
        (Stage::End, What::Expired(_)) => "time_out",
        (Stage::End, _) => "settle",
        (Stage::ToldDebtor, _) => "told debtor",
        (Stage::ToldCreditor, _) => "told creditor",
    }
}

/// How the payment ended, and why if it failed.
fn outcome(end: What) -> (&'static str, Option<Reason>) {
    match end {
        What::Reserved => ("reserved", None),
        What::Settled => ("settled", None),
        What::Rejected(_, reason) => ("rejected", Some(reason)),
        What::Expired(reason) => ("timed_out", Some(reason)),
    }
}

fn span(span: &Span) -> trace::Span {
    let About { uetr, debtor, creditor, original, end, kept, entry, .. } = span.about;
    let (word, reason) = outcome(end);
    let mut attributes = vec![
        text("crosstie.uetr", uetr.to_string()),
        text("crosstie.debtor_agent", span.about.debtor_agent.as_str()),
        text("crosstie.creditor_agent", span.about.creditor_agent.as_str()),
        text("crosstie.outcome", word),
        text("crosstie.kept", kept.word()),
        keyed("crosstie.entry", Value::IntValue(entry as i64)),
    ];
    attributes.extend(reason.map(|reason| text("crosstie.reason", reason.as_str())));
    let is_failed = reason.is_some() && matches!(span.stage, Stage::Payment | Stage::End);
    let status = is_failed.then(|| Status { code: StatusCode::Error as i32, message: word.into() });
    // A return goes the other way: its creditor agent sent the original.
    let links = original.map(|original| Link {
        trace_id: original.bytes().to_vec(),
        span_id: id(original, creditor, Stage::Payment).to_vec(),
        ..Default::default()
    });
    let is_root = span.stage == Stage::Payment;
    trace::Span {
        trace_id: uetr.bytes().to_vec(),
        span_id: id(uetr, debtor, span.stage).to_vec(),
        parent_span_id: if is_root { Vec::new() } else { id(uetr, debtor, Stage::Payment).to_vec() },
        name: name(span.stage, end).into(),
        kind: if is_root { SpanKind::Server } else { SpanKind::Internal } as i32,
        start_time_unix_nano: span.start.nanoseconds(),
        end_time_unix_nano: span.end.nanoseconds(),
        attributes,
        links: links.filter(|_| is_root).into_iter().collect(),
        status,
        ..Default::default()
    }
}
