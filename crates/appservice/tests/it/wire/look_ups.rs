//! The other network as people look it up, and the rest of what a registration asks for.

use std::sync::Arc;

use bridgehead_appservice::{
    ProtocolInfo, RemoteAsk, RemoteLocation, RemoteUser, StartError, ThirdParty, prelude::*,
};
use http::Request;
use serde_json::json;

use crate::rig::{Rig, SERVER};

fn info() -> ProtocolInfo {
    ProtocolInfo::new()
        .field("network", "[a-z.]+", "irc.example.org")
        .field("nick", r"\S+", "somebody")
        .field("channel", r"#\S+", "#rust")
        .users_by(&["network", "nick"])
        .locations_by(&["network", "channel"])
        .icon(&MxcUri::parse("mxc://localhost/irc").expect("a uri"))
        .instance("example", "Example", &[("network", "irc.example.org")])
        .instance_icon(&MxcUri::parse("mxc://localhost/example").expect("a uri"))
}

struct Networks(&'static str);

fn service() -> Service {
    let irc = ThirdParty::new(info())
        .users(
            |ask: RemoteAsk, ghosts: Ghosts, networks: State<Networks>| async move {
                if &ask["network"] != networks.0.0 {
                    return Ok::<_, Error>(None);
                }
                let ghost = ghosts.named(&ask["nick"])?;
                Ok(Some(
                    RemoteUser::new(ghost.id()).field("nick", &ask["nick"]),
                ))
            },
        )
        .locations(|ask: RemoteAsk| async move {
            let alias = |name: &str| RoomAlias::parse(&format!("#irc_{name}:{SERVER}"));
            match &ask["channel"] {
                "#panic" => panic!("as it was told"),
                "#fails" => Err(HandlerError::new("not today")),
                "#many" => (0..1100)
                    .map(|number| Ok(RemoteLocation::new(&alias(&number.to_string())?)))
                    .collect(),
                "" => Ok(Vec::new()),
                channel => {
                    let name = channel.trim_start_matches('#');
                    let found = RemoteLocation::new(&alias(name)?).field("channel", channel);
                    Ok(vec![found.field("protocol", &ask.protocol)])
                }
            }
        })
        .of_user(|ask: UserAsk| async move {
            ask.get("name")
                .map(|name| RemoteUser::new(&ask.user_id).field("nick", name))
        })
        .of_alias(|ask: AliasAsk| async move {
            let channel = format!("#{}", &ask["channel"]);
            vec![RemoteLocation::new(&ask.alias).field("channel", &channel)]
        });
    Service::new("irc")
        .bot("ircbot")
        .users("_irc_{name}")
        .aliases("#irc_{channel}")
        .state(Networks("irc.example.org"))
        .third_party("irc", irc)
        .third_party("gopher", ThirdParty::new(ProtocolInfo::new()))
}

#[tokio::test]
async fn look_ups_go_both_ways_on_both_paths() -> anyhow::Result<()> {
    let rig = Rig::start(service()).await?;
    for base in [
        "/_matrix/app/v1/thirdparty",
        "/_matrix/app/unstable/thirdparty",
    ] {
        let (status, protocol) = rig.get(&format!("{base}/protocol/irc")).await;
        assert_eq!(status, 200);
        assert_eq!(protocol["user_fields"], json!(["network", "nick"]));
        assert_eq!(protocol["field_types"]["channel"]["placeholder"], "#rust");
        assert_eq!(
            protocol["instances"],
            json!([{
                "network_id": "example", "desc": "Example", "icon": "mxc://localhost/example",
                "fields": { "network": "irc.example.org" },
            }])
        );
        let (status, empty) = rig.get(&format!("{base}/protocol/gopher")).await;
        let wanted = json!({
            "user_fields": [], "location_fields": [], "icon": "", "field_types": {}, "instances": [],
        });
        assert_eq!((status, empty), (200, wanted));
        let user = json!([{
            "userid": "@_irc_bob:localhost", "protocol": "irc", "fields": { "nick": "bob" },
        }]);
        let path = format!("{base}/user/irc?network=irc.example.org&nick=bob");
        assert_eq!(rig.get(&path).await, (200, user));
        let reversed = json!([{
            "userid": "@_irc_bob:localhost", "protocol": "irc", "fields": { "nick": "bob" },
        }]);
        let path = format!("{base}/user?userid=%40_irc_bob%3Alocalhost");
        assert_eq!(rig.get(&path).await, (200, reversed));
        let location = |fields: serde_json::Value| json!([{ "alias": "#irc_rust:localhost", "protocol": "irc", "fields": fields }]);
        let fields = json!({ "channel": "#rust", "protocol": "irc" });
        let path = format!("{base}/location/irc?channel=%23rust");
        assert_eq!(rig.get(&path).await, (200, location(fields)));
        let path = format!("{base}/location?alias=%23irc_rust%3Alocalhost");
        assert_eq!(
            rig.get(&path).await,
            (200, location(json!({ "channel": "#rust" })))
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_found_and_what_fails_are_told_apart() -> anyhow::Result<()> {
    let rig = Rig::start(service()).await?;
    let base = "/_matrix/app/v1/thirdparty";
    for (path, status, errcode) in [
        ("protocol/xmpp", 404, "M_NOT_FOUND"),
        ("user/xmpp?nick=bob", 404, "M_NOT_FOUND"),
        ("user/irc?network=elsewhere&nick=bob", 404, "M_NOT_FOUND"),
        ("user/gopher?nick=bob", 404, "M_NOT_FOUND"),
        ("location/irc", 404, "M_NOT_FOUND"),
        ("location/irc?channel=%23fails", 500, "M_UNKNOWN"),
        ("location/irc?channel=%23panic", 500, "M_UNKNOWN"),
        ("user?userid=bob", 404, "M_NOT_FOUND"),
        ("user?userid=@other:localhost", 404, "M_NOT_FOUND"),
        ("user", 400, "M_MISSING_PARAM"),
        ("location", 400, "M_MISSING_PARAM"),
        ("location?alias=rust", 404, "M_NOT_FOUND"),
    ] {
        let (told, answer) = rig.get(&format!("{base}/{path}")).await;
        assert_eq!(
            (told, answer["errcode"].as_str()),
            (status, Some(errcode)),
            "{path}"
        );
    }
    let (_, many) = rig
        .get(&format!("{base}/location/irc?channel=%23many"))
        .await;
    assert_eq!(many.as_array().map(Vec::len), Some(1000));
    Ok(())
}

#[tokio::test]
async fn the_token_in_the_query_is_no_field() -> anyhow::Result<()> {
    let seen = Arc::new(parking_lot::Mutex::new(String::new()));
    let sink = seen.clone();
    let network = ThirdParty::new(info()).users(move |ask: RemoteAsk| {
        *sink.lock() = format!("{ask:?}");
        async { Vec::new() }
    });
    let rig = Rig::start(Service::new("irc").third_party("irc", network)).await?;
    let token = rig.generated.registration.hs_token.expose();
    let path = format!("/_matrix/app/v1/thirdparty/user/irc?nick=bob&access_token={token}");
    let request = Request::get(path).body(bytes::Bytes::new())?;
    assert_eq!(rig.running.call(request).await.status().as_u16(), 404);
    let seen = seen.lock().clone();
    assert!(seen.contains("bob") && !seen.contains(token), "{seen}");
    Ok(())
}

#[tokio::test]
async fn mistakes_in_a_protocol_are_told_at_the_start() {
    let wrong = ProtocolInfo::new()
        .field("nick", "(", "x")
        .field("channel", "#[a-z]+", "rust")
        .users_by(&["nick", "network"]);
    let network = ThirdParty::new(wrong).users(|_: State<Networks>| async { Vec::new() });
    let service = Service::new("irc")
        .third_party("irc", network)
        .third_party("irc", ThirdParty::new(ProtocolInfo::new()));
    let error = service.registration(None, SERVER).expect_err("mistakes");
    let StartError::Declaration(mistakes) = error else {
        panic!("{error}");
    };
    let text = mistakes.join("\n");
    assert!(text.contains("declared twice"), "{text}");
    let wrong = ProtocolInfo::new()
        .field("nick", "(", "x")
        .field("channel", "#[a-z]+", "rust")
        .users_by(&["nick", "network"]);
    let network = ThirdParty::new(wrong).users(|_: State<Networks>| async { Vec::new() });
    let service = Service::new("irc").third_party("irc", network);
    let text = service
        .registration(None, SERVER)
        .expect_err("mistakes")
        .to_string();
    for said in [
        "no field `network`",
        "a field `nick` whose pattern cannot be read",
        "example `rust` does not fit",
        "Networks",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn the_registration_says_what_was_declared() -> anyhow::Result<()> {
    let draft = service().registration(None, SERVER)?;
    assert_eq!(draft.protocols, ["gopher", "irc"]);
    let features = draft.features;
    assert!(features.receive_ephemeral && !features.msc3202 && !features.msc4190);
    let draft = service().ephemeral(false).encryption(true);
    let features = draft.registration(None, SERVER)?.features;
    assert!(!features.receive_ephemeral && features.msc3202 && features.msc4190);
    Ok(())
}
