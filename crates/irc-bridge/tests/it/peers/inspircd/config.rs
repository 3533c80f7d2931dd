//! What stands in the server's configuration. Its modules are found by the server itself, where its package put them.

use super::{Certificate, HUB, InspircdOptions, LINK_PASSWORD, Ports, SERVICES, WEBIRC_PASSWORD};
use crate::peers::{OPERATOR, OPERATOR_PASSWORD};

/// How many clients an address may have where nothing is said of it.
const MANY: u32 = 10_000;

/// Without `deaf` and `hidechans` the server refuses what Atheme says of its own users, `svshold` lets it keep nicks.
const MODULES: &str = "banexception botmode callerid cap cgiirc chanhistory chghost cloaking deaf hidechans ident \
    inviteexception ircv3 ircv3_accounttag ircv3_batch ircv3_capnotify ircv3_chghost ircv3_ctctags ircv3_echomessage \
    ircv3_invitenotify ircv3_labeledresponse ircv3_msgid ircv3_servertime knock md5 monitor muteban namesx redirect sajoin \
    sakick samode sasl services_account setname sha1 silence spanningtree ssl_gnutls sslinfo svshold uhnames";

/// Founders, admins and half-operators, which the server has only where it is told of them.
const STANDINGS: &str = r#"<module name="customprefix">
<customprefix name="founder" letter="q" prefix="~" rank="50000" ranktoset="50000">
<customprefix name="admin" letter="a" prefix="&amp;" rank="40000" ranktoset="50000">
<customprefix name="halfop" letter="h" prefix="%" rank="20000" ranktoset="30000">
"#;

/// All of it but the links.
pub(super) fn config(
    name: &str,
    ports: Ports,
    options: InspircdOptions,
    certificate: &Certificate,
) -> String {
    [
        "<config format=\"xml\">\n".to_owned(),
        server(name),
        listeners(ports, certificate),
        more_listeners(ports, options),
        limits(options),
        rights(),
        modules(options),
    ]
    .concat()
}

/// A server that may link.
pub(super) fn link(name: &str, port: u16) -> String {
    format!(
        r#"<link name="{name}" ipaddr="127.0.0.1" port="{port}" allowmask="127.0.0.1" sendpass="{LINK_PASSWORD}" recvpass="{LINK_PASSWORD}">
"#
    )
}

/// Has the server link to another by itself.
pub(super) fn autoconnect(name: &str) -> String {
    format!("<autoconnect period=\"1s\" server=\"{name}\">\n")
}

fn server(name: &str) -> String {
    let id = if name == HUB { "1AA" } else { "2BB" };
    // What the server logs goes to its output, at once. No name of loopback is looked up in the world. Of a link that is cut
    // while it is new one side may not see the end: it does when it pings, by itself only once a minute.
    format!(
        r#"<server name="{name}" description="peer of a test" network="TestNet" id="{id}">
<admin name="n" nick="n" email="n@test.invalid">
<log method="file" type="* -USERINPUT -USEROUTPUT -MODULE" level="default" target="/dev/stdout" flush="1">
<dns server="127.0.0.1" timeout="1">
<options casemapping="rfc1459" defaultmodes="not" serverpingfreq="10s">
<cloak mode="half" key="any-string-of-30-or-more-characters" domainparts="3" prefix="net-">
"#
    )
}

fn listeners(ports: Ports, certificate: &Certificate) -> String {
    let Ports { plain, tls, links } = ports;
    let (certificate_file, key_file) = (
        certificate.certificate_file.display(),
        certificate.key_file.display(),
    );
    format!(
        r#"<bind address="127.0.0.1" port="{plain}" type="clients">
<bind address="127.0.0.1" port="{tls}" type="clients" sslprofile="tls">
<bind address="127.0.0.1" port="{links}" type="servers">
<sslprofile name="tls" provider="gnutls" certfile="{certificate_file}" keyfile="{key_file}" requestclientcert="yes" hash="sha256">
"#
    )
}

fn more_listeners(ports: Ports, options: InspircdOptions) -> String {
    match options.listens_on_v6 {
        true => format!(
            "<bind address=\"::1\" port=\"{}\" type=\"clients\">\n",
            ports.plain
        ),
        false => String::new(),
    }
}

fn limits(options: InspircdOptions) -> String {
    let ident = if options.asks_ident { "yes" } else { "no" };
    let connections = options.connections_per_address.unwrap_or(MANY);
    format!(
        r#"<connect name="all" allow="*" maxchans="1000" localmax="{connections}" globalmax="{connections}" timeout="30" pingfreq="2m" sendq="1M" recvq="64K" softsendq="64K" hardsendq="2M" threshold="200" commandrate="100000" fakelag="no" resolvehostnames="no" useident="{ident}">
<limits maxnick="30" maxchan="60" maxident="12" maxtopic="390">
"#
    )
}

fn rights() -> String {
    format!(
        r#"<class name="All" commands="*" privs="*" usermodes="*" chanmodes="*" snomasks="*">
<type name="Net" classes="All">
<oper name="{OPERATOR}" password="{OPERATOR_PASSWORD}" host="*@*" type="Net">
<uline server="{SERVICES}" silent="yes">
<sasl target="{SERVICES}" requiressl="no">
<cgihost type="webirc" mask="127.0.0.1" password="{WEBIRC_PASSWORD}">
"#
    )
}

fn modules(options: InspircdOptions) -> String {
    let always = MODULES.split_whitespace().map(module).collect::<String>() + STANDINGS;
    let Some(after) = options.throttled_after else {
        return always;
    };
    let ban = format!("<connectban threshold=\"{after}\" duration=\"10m\" bootwait=\"0\">\n");
    always + &module("connectban") + &ban
}

fn module(name: &str) -> String {
    format!("<module name=\"{name}\">\n")
}
