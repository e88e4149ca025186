//! An issuer → the layers of other crates.

use std::{sync::Arc, time::Duration};

use aliri::{jwa, jwt};
use aliri_oauth2::{Authority, ScopePolicy};
use jwt_authorizer::{AuthorizerBuilder, IntoLayer, Validation, layer::AuthorizationLayer};
use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator, http_layer::HttpAuthLayer};
use tower_oauth2_resource_server::{
    claims::DefaultClaims, layer::OAuth2ResourceServerLayer, server::OAuth2ResourceServer, tenant::TenantConfiguration,
    validation::ClaimsValidationSpec,
};

use crate::fixture::{AUDIENCE, Claims, Failure, Fixture, ISSUER, SCOPE};

pub(crate) async fn jwt_authorizer(fixture: &Fixture) -> Result<AuthorizationLayer<Claims>, Failure> {
    let authorizer = AuthorizerBuilder::from_jwks_url(&fixture.jwks_url)
        .validation(Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]))
        .check(Claims::suffice);
    Ok(authorizer.build().await?.into_layer())
}

/// It fetches keys in the background, and does not tell when it has them.
pub(crate) async fn tower_oauth2_resource_server<B: Default>(
    fixture: &Fixture,
) -> Result<OAuth2ResourceServerLayer<B, DefaultClaims>, Failure> {
    let audiences = vec![AUDIENCE.to_owned()];
    let tenant = TenantConfiguration::builder(ISSUER)
        .jwks_url(&fixture.jwks_url)
        // Without `nbf`, which the token does not have.
        .claims_validation(ClaimsValidationSpec::new().iss(ISSUER).aud(&audiences).exp(true))
        .build()
        .await
        .map_err(|error| error.to_string())?;
    let server = OAuth2ResourceServer::<DefaultClaims>::builder().add_tenant(tenant).build().await;
    Ok(server.map_err(|error| error.to_string())?.into_layer())
}

pub(crate) async fn oauth_resource_server(fixture: &Fixture) -> Result<HttpAuthLayer, Failure> {
    let config = OAuthConfig {
        enabled: true,
        issuer: ISSUER.to_owned(),
        jwks_uri: Some(fixture.jwks_url.clone()),
        audience: AUDIENCE.to_owned(),
        resource: AUDIENCE.to_owned(),
        required_scope: Some(SCOPE.to_owned()),
        ..OAuthConfig::default()
    };
    let resolved = config.resolve(KeyNaming::Dotted("oauth"))?.ok_or("not enabled")?;
    let validator = Arc::new(OAuthValidator::new(&resolved)?);
    validator.refresh_now().await?;
    Ok(HttpAuthLayer::builder().oauth(validator).build()?)
}

/// What its two layers, for the token and for the scope, are made of.
pub(crate) async fn aliri(fixture: &Fixture) -> Result<(Authority, ScopePolicy), Failure> {
    let validator = jwt::CoreValidator::default()
        .add_approved_algorithm(jwa::Algorithm::RS256)
        .add_allowed_audience(jwt::Audience::from_static(AUDIENCE))
        .require_issuer(jwt::Issuer::from_static(ISSUER))
        .with_leeway(Duration::from_secs(60));
    let authority = Authority::new_from_url(fixture.jwks_url.clone(), validator).await?;
    Ok((authority, ScopePolicy::allow_one_from_static(SCOPE)))
}
