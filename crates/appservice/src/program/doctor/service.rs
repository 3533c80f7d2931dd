//! The way from the homeserver to the service: does somebody answer, with the right token, and is it this service.

use super::{Patient, Report};
use crate::{
    config::Config,
    program::{
        operator::Operator,
        stand_in::{Answerer, Pinged, ping},
    },
};

impl<C: Config> Patient<'_, C> {
    /// The homeserver reaches the service, and shows the token that is in the file.
    pub(super) async fn way_back(&self, report: &mut Report) {
        let listen = &self.site.keys().listen;
        let answerer = Answerer::find(&self.registration, listen, self.site.database_file()).await;
        match &answerer {
            Answerer::Running => report.good("service", "it runs"),
            Answerer::StandIn { .. } => {
                report.note("service", "it does not run; the doctor answers for it");
            }
            Answerer::Nobody(why) if listen.websocket => {
                report.skipped("way back", why);
                return;
            }
            Answerer::Nobody(why) => {
                report.bad("way back", why, self.key("listen.address"));
                return;
            }
        }
        match ping(&self.homeserver, &self.registration).await {
            Pinged::Good => report.good(
                "way back",
                "the homeserver reaches the service, with the right hs_token",
            ),
            Pinged::Unknown => report.skipped("way back", "this homeserver knows no ping"),
            Pinged::Bad { what, cure } => {
                report.bad("way back", what, cure);
                self.ask_homeserver(report).await;
            }
        }
    }

    /// What the homeserver's own doctor says about it, where it has one.
    async fn ask_homeserver(&self, report: &mut Report) {
        let Ok(Some(operator)) = Operator::of(&self.site.keys().homeserver) else {
            return;
        };
        for (step, cure) in operator
            .examine(&self.registration.id)
            .await
            .unwrap_or_default()
        {
            report.bad("way back, as the homeserver sees it", step, cure);
        }
    }
}
