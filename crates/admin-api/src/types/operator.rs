//! Operators and their sessions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at everything.
    Read,
    /// Change things, too.
    Act,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operator {
    /// The name that the audit log has.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// When the token was made.
    pub created_at_ms: i64,
    /// When it was last used, about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<i64>,
}

/// All operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorList {
    /// By name.
    pub operators: Vec<Operator>,
}

/// Makes an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOperator {
    /// 1 to 64 letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// A new operator's token, shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewOperatorToken {
    /// The operator.
    pub operator: Operator,
    /// The token.
    pub token: String,
}

/// Begins a browser's session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// An operator's token.
    pub token: String,
}

/// Who one is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// The operator's name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// To be sent as `X-CSRF-Token` with every request of this session that changes something;
    /// absent for a request with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
}

/// What every refusal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiErrorBody {
    /// A code for programs, such as `M_NOT_FOUND`, `M_FORBIDDEN`, `M_CONFLICT`.
    pub errcode: String,
    /// What is wrong and what to do, for people.
    pub error: String,
}
