//! Media, and the user's profile.

use bridgehead_appservice::id::{MxcUri, UserId};
use bytes::Bytes;
use http::{Method, header};
use serde_json::{Value, json};

use super::{LabUser, checked, parse, read, segment, what};
use crate::lab::CallError;

const V3: &str = "/_matrix/client/v3";

/// Media that came down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The bytes.
    pub bytes: Bytes,
    /// The type that the homeserver names; empty when it names none.
    pub content_type: String,
}

impl LabUser {
    /// Uploads media.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn upload(
        &self,
        content_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<MxcUri, CallError> {
        const PATH: &str = "/_matrix/media/v3/upload";
        let what = what(&Method::POST, PATH);
        let answer = self
            .request(Method::POST, PATH, content_type, bytes.into())
            .await?;
        let answer = checked(what.clone(), Ok(answer))?;
        parse(&what, &read(&what, &answer)?, "content_uri", MxcUri::parse)
    }

    /// Downloads media, with the user's token.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn download(&self, media: &MxcUri) -> Result<Download, CallError> {
        let (server, id) = media.parts();
        let (server, id) = (segment(server), segment(id));
        let path = format!("/_matrix/client/v1/media/download/{server}/{id}");
        let answer = self.request(Method::GET, &path, "", Bytes::new()).await?;
        let answer = checked(what(&Method::GET, &path), Ok(answer))?;
        let content_type = answer.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        Ok(Download {
            content_type: content_type.unwrap_or_default().to_owned(),
            bytes: answer.into_body(),
        })
    }

    /// A user's profile.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn profile(&self, user: &UserId) -> Result<Value, CallError> {
        self.get(&format!("{V3}/profile/{}", segment(user.as_str())))
            .await
    }

    /// Takes a display name.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn set_display_name(&self, name: &str) -> Result<(), CallError> {
        self.set_profile("displayname", name).await
    }

    /// Takes a picture.
    ///
    /// # Errors
    /// See [`LabUser::call`].
    pub async fn set_avatar(&self, media: &MxcUri) -> Result<(), CallError> {
        self.set_profile("avatar_url", media.as_str()).await
    }

    async fn set_profile(&self, field: &str, value: &str) -> Result<(), CallError> {
        let path = format!("{V3}/profile/{}/{field}", segment(self.id().as_str()));
        let mut body = json!({});
        body[field] = value.into();
        self.put(&path, &body).await.map(drop)
    }
}
