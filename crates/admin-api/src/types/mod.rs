//! What goes over the wire, by noun.

mod audit;
mod doctor;
mod event;
mod history;
mod lint;
mod operator;
mod registration;
mod removal;
mod service;
mod transaction;
mod verb;

pub use audit::{AuditEntry, AuditPage};
pub use doctor::{DoctorReport, DoctorStep, StepOutcome};
pub use event::{EventKind, OperatorEvent};
pub use history::{History, Sample, Span};
pub use lint::{Finding, FindingKind, LintReport, LintRequest, Severity};
pub use operator::{
    ApiErrorBody, NewOperator, NewOperatorToken, Operator, OperatorList, Role, Session,
    SessionRequest,
};
pub use registration::{
    AddRegistration, Registered, RegistrationText, ReplaceRegistration, RotateRequest, Rotated,
    Source,
};
pub use removal::{Purge, RemovalReport};
pub use service::{
    Dialect, InFlight, LastError, Pause, PausedBy, Progress, Rates, Service, ServiceList, State,
    Stuck, Transport,
};
pub use transaction::{Skip, SkipList, TransactionEvent, TransactionView};
pub use verb::{PauseRequest, PolicyRequest, ReasonRequest, ReplayRequest, SkipRequest};
