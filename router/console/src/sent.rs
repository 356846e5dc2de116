//! What browsers and programs send, or in words why it cannot be read.

use axum::extract::rejection::{FormRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

/// What stands behind the question mark.
pub(crate) struct Question<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Question<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Question<T>, Response> {
        let asked = Query::<T>::from_request_parts(parts, state).await.map_err(|rejection| {
            let what = match &rejection {
                QueryRejection::FailedToDeserializeQueryString(error) => cause(error),
                other => other.body_text(),
            };
            refuse(StatusCode::BAD_REQUEST, format!("what stands behind the question mark is not understood: {what}"))
        })?;
        Ok(Question(asked.0))
    }
}

/// A part of the address; nothing is there if it is none of those that are known.
pub(crate) struct Place<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Place<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Place<T>, Response> {
        let path = parts.uri.path().to_string();
        let place = Path::<T>::from_request_parts(parts, state).await.map_err(|rejection| {
            let what = match &rejection {
                PathRejection::FailedToDeserializePathParams(error) => error.body_text(),
                other => other.body_text(),
            };
            refuse(StatusCode::NOT_FOUND, format!("there is no page {path}: {what}"))
        })?;
        Ok(Place(place.0))
    }
}

/// What a form sends.
pub(crate) struct Form<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Form<T>, Response> {
        let form = axum::extract::Form::<T>::from_request(request, state).await.map_err(|rejection| {
            let what = match &rejection {
                FormRejection::FailedToDeserializeForm(error) => cause(error),
                FormRejection::FailedToDeserializeFormBody(error) => cause(error),
                FormRejection::InvalidFormContentType(_) => "it is sent as application/x-www-form-urlencoded".into(),
                _ if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                    format!("it has more than {} bytes", crate::app::BODY_BYTES_MAX)
                }
                other => other.body_text(),
            };
            refuse(rejection.status(), format!("nothing was changed: the form cannot be read: {what}"))
        })?;
        Ok(Form(form.0))
    }
}

fn refuse(status: StatusCode, why: String) -> Response {
    (status, format!("{why}\n")).into_response()
}

/// What lies behind the framework's own words.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
