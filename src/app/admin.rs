//! The admin server: `/metrics`, `/livez`, `/readyz`, `/status`. It only tells, it changes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::status::Status;

/// Answers until `stop` is cancelled.
pub(super) async fn serve(listener: TcpListener, status: Arc<Status>, stop: CancellationToken) {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/status", get(report))
        .route("/metrics", get(metrics))
        .with_state(status);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "the admin server failed");
    }
}

async fn readyz(State(status): State<Arc<Status>>) -> Response {
    let readiness = status.readiness().await;
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness)).into_response()
}

async fn report(State(status): State<Arc<Status>>) -> Response {
    match status.report().await {
        Ok(report) => Json(report).into_response(),
        Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason).into_response(),
    }
}

async fn metrics(State(status): State<Arc<Status>>) -> Response {
    match status.scrape.render().await {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason).into_response(),
    }
}
