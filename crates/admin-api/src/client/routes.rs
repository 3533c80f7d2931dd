//! One method a route. Names follow the verb and the noun of the route.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::{Client, ClientError, EventStream};
use crate::{
    AddRegistration, AuditPage, DoctorReport, History, LintReport, LintRequest, NewOperator,
    NewOperatorToken, OperatorList, PauseRequest, PolicyRequest, Purge, ReasonRequest, Registered,
    RegistrationText, RemovalReport, ReplaceRegistration, ReplayRequest, RotateRequest, Rotated,
    Service, ServiceList, Session, SkipList, SkipRequest, Span, TransactionView,
};

/// Which part of the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// How many entries at most; the server has a bound of its own.
    pub limit: Option<u64>,
    /// Only entries before this one: `next` of the page before.
    pub before: Option<u64>,
    /// Only what was done to this service.
    pub service_id: Option<String>,
}

/// # Services
///
/// Every method fails as [`ClientError`] says; a service that is not there is refused with status
/// 404.
impl Client {
    /// `GET appservices`: all services.
    pub async fn list_services(&self) -> Result<ServiceList, ClientError> {
        self.request(Method::GET, &["appservices"])?.fetch().await
    }

    /// `GET appservices/{id}`: one service.
    pub async fn get_service(&self, id: &str) -> Result<Service, ClientError> {
        self.request(Method::GET, &["appservices", id])?
            .fetch()
            .await
    }

    /// `POST appservices/{id}/pause`: nothing is sent until somebody resumes.
    pub async fn pause(&self, id: &str, request: &PauseRequest) -> Result<Service, ClientError> {
        self.act(id, "pause", request).await
    }

    /// `POST appservices/{id}/resume`: ends a pause.
    pub async fn resume(&self, id: &str, request: &ReasonRequest) -> Result<Service, ClientError> {
        self.act(id, "resume", request).await
    }

    /// `POST appservices/{id}/retry`: ends a wait for the next attempt, and brings back a service
    /// that was given up.
    pub async fn retry(&self, id: &str, request: &ReasonRequest) -> Result<Service, ClientError> {
        self.act(id, "retry", request).await
    }

    /// `POST appservices/{id}/fail`: gives a service up, until somebody retries.
    pub async fn fail(&self, id: &str, request: &ReasonRequest) -> Result<Service, ClientError> {
        self.act(id, "fail", request).await
    }

    /// `POST appservices/{id}/drain`: delivers what waits now, then pauses.
    pub async fn drain(&self, id: &str, request: &ReasonRequest) -> Result<Service, ClientError> {
        self.act(id, "drain", request).await
    }

    /// `POST appservices/{id}/skip`: goes on behind the transaction in flight.
    pub async fn skip(&self, id: &str, request: &SkipRequest) -> Result<Service, ClientError> {
        self.act(id, "skip", request).await
    }

    /// `POST appservices/{id}/replay`: sends again.
    pub async fn replay(&self, id: &str, request: &ReplayRequest) -> Result<Service, ClientError> {
        self.act(id, "replay", request).await
    }

    /// `PUT appservices/{id}/policy`: what the server may do by itself.
    pub async fn set_policy(
        &self,
        id: &str,
        request: &PolicyRequest,
    ) -> Result<Service, ClientError> {
        self.request(Method::PUT, &["appservices", id, "policy"])?
            .json(request)?
            .fetch()
            .await
    }

    async fn act(
        &self,
        id: &str,
        verb: &str,
        request: &impl Serialize,
    ) -> Result<Service, ClientError> {
        self.request(Method::POST, &["appservices", id, verb])?
            .json(request)?
            .fetch()
            .await
    }

    /// `GET appservices/{id}/transaction`: the transaction in flight; refused with 404 when there
    /// is none.
    pub async fn get_transaction(&self, id: &str) -> Result<TransactionView, ClientError> {
        self.request(Method::GET, &["appservices", id, "transaction"])?
            .fetch()
            .await
    }

    /// `GET appservices/{id}/skips`: what was skipped.
    pub async fn list_skips(&self, id: &str) -> Result<SkipList, ClientError> {
        self.request(Method::GET, &["appservices", id, "skips"])?
            .fetch()
            .await
    }

    /// `GET appservices/{id}/history`: how its delivery went.
    pub async fn get_history(&self, id: &str, span: Span) -> Result<History, ClientError> {
        let span = match span {
            Span::Hour => "hour",
            Span::Day => "day",
        };
        self.request(Method::GET, &["appservices", id, "history"])?
            .query("span", span)
            .fetch()
            .await
    }

    /// `POST appservices/{id}/doctor`: what keeps it from being reached.
    pub async fn examine(&self, id: &str) -> Result<DoctorReport, ClientError> {
        self.request(Method::POST, &["appservices", id, "doctor"])?
            .long()
            .fetch()
            .await
    }
}

/// # Registrations
impl Client {
    /// `POST appservices`: adds a service.
    pub async fn add_service(&self, request: &AddRegistration) -> Result<Registered, ClientError> {
        self.request(Method::POST, &["appservices"])?
            .json(request)?
            .fetch()
            .await
    }

    /// `DELETE appservices/{id}`: removes a service, or says what that would do.
    pub async fn remove_service(
        &self,
        id: &str,
        purge: &Purge,
    ) -> Result<RemovalReport, ClientError> {
        let flag = |is_set: bool| is_set.then_some("true");
        self.request(Method::DELETE, &["appservices", id])?
            .maybe_query("purge", flag(purge.purge))
            .maybe_query("dry_run", flag(purge.dry_run))
            .maybe_query("reason", purge.reason.as_deref())
            .long()
            .fetch()
            .await
    }

    /// `GET appservices/{id}/registration`: its registration, tokens hidden.
    pub async fn get_registration(&self, id: &str) -> Result<RegistrationText, ClientError> {
        self.request(Method::GET, &["appservices", id, "registration"])?
            .fetch()
            .await
    }

    /// `PUT appservices/{id}/registration`: changes it, if it still has the revision named.
    pub async fn replace_registration(
        &self,
        id: &str,
        request: &ReplaceRegistration,
    ) -> Result<Registered, ClientError> {
        self.request(Method::PUT, &["appservices", id, "registration"])?
            .json(request)?
            .fetch()
            .await
    }

    /// `POST appservices/{id}/rotate`: new tokens.
    pub async fn rotate(&self, id: &str, request: &RotateRequest) -> Result<Rotated, ClientError> {
        self.request(Method::POST, &["appservices", id, "rotate"])?
            .json(request)?
            .fetch()
            .await
    }

    /// `POST lint`: what is doubtful about a registration, or about all in force.
    pub async fn lint(&self, request: &LintRequest) -> Result<LintReport, ClientError> {
        self.request(Method::POST, &["lint"])?
            .json(request)?
            .long()
            .fetch()
            .await
    }
}

/// # Operators and what they did
impl Client {
    /// `GET audit`: who did what, newest first.
    pub async fn list_audit(&self, query: &AuditQuery) -> Result<AuditPage, ClientError> {
        let limit = query.limit.map(|limit| limit.to_string());
        let before = query.before.map(|before| before.to_string());
        self.request(Method::GET, &["audit"])?
            .maybe_query("limit", limit.as_deref())
            .maybe_query("before", before.as_deref())
            .maybe_query("service_id", query.service_id.as_deref())
            .fetch()
            .await
    }

    /// `GET events`: what happens, as it happens; of one service, or of all.
    pub async fn events(&self, service_id: Option<&str>) -> Result<EventStream, ClientError> {
        let response = self
            .request(Method::GET, &["events"])?
            .maybe_query("service_id", service_id)
            .send("text/event-stream")
            .await?;
        EventStream::new(self.server.clone(), response)
    }

    /// `GET operators`: all operators.
    pub async fn list_operators(&self) -> Result<OperatorList, ClientError> {
        self.request(Method::GET, &["operators"])?.fetch().await
    }

    /// `POST operators`: makes an operator; the answer is the only one that ever has the token.
    pub async fn add_operator(
        &self,
        request: &NewOperator,
    ) -> Result<NewOperatorToken, ClientError> {
        self.request(Method::POST, &["operators"])?
            .json(request)?
            .fetch()
            .await
    }

    /// `DELETE operators/{name}`: ends an operator's token and sessions.
    pub async fn remove_operator(&self, name: &str) -> Result<(), ClientError> {
        self.request(Method::DELETE, &["operators", name])?
            .run()
            .await
    }

    /// `GET session`: whose token this is.
    pub async fn get_session(&self) -> Result<Session, ClientError> {
        self.request(Method::GET, &["session"])?.fetch().await
    }

    /// `GET openapi.json`: the API's own description.
    pub async fn get_openapi(&self) -> Result<Value, ClientError> {
        self.request(Method::GET, &["openapi.json"])?.fetch().await
    }
}
