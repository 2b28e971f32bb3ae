//! Amazon credentials of the merchant, and the shipping labels that the fulfiller gets by them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::{Fail, Outcome};
use crate::catalog::Role;
use crate::json::{Json, int, obj};
use crate::outbound::Outbound;
use crate::record::Actor;
use crate::things::Kind;
use crate::world::World;

/// The services that Amazon offers here.
const SERVICES: [&str; 2] = ["DHL-PAKET", "UPS-EXPRESS"];

const PREMIUM: &str = "AmazonSellerFulfilledPrime";

const SELLER: &str = "shippingLabelProviderData/amazonSfpShippingLabelProviderData";

impl World {
    fn has_credential(&self, seller: &str) -> bool {
        self.things.credentials.numbered(seller).next().is_some()
    }

    /// The merchant names an Amazon account.
    pub(crate) fn create_credential(&mut self, told: &Json, by: Actor) -> Outcome<usize> {
        let (seller, platform) = (told.text("sellerId").unwrap_or_default(), told.text("platform"));
        let known = |c: &usize| self.things.credentials.get(*c).is_some_and(|c| c.body.text("platform") == platform);
        if let Some(c) = self.things.credentials.numbered(seller).find(known) {
            let id = self.thing(Kind::Credentials, c)?.id.as_str();
            return Err(Fail::new(400, "Credentials_DuplicateCredential", "There is such a credential already.")
                .with("CredentialId", id));
        }
        self.oauth.learn("mws_auth_token", told.text("mwsAuthToken").unwrap_or_default());
        let id = self.new_id(Kind::Credentials, Role::Merchant, "CR", 8);
        let whole = obj([("credentialId", id.into()), ("sellerId", seller.into()), ("platform", platform.into())]);
        Ok(self.put(Kind::Credentials, whole, None, by))
    }

    /// Whether the data for a label provider fits the order and the credentials.
    pub(crate) fn check_amazon(&self, members: &Json, id: &str) -> Outcome<()> {
        let premium = members.text("premiumType");
        match members.walk(SELLER) {
            Some(data) => {
                let seller = data.text("sellerId").unwrap_or_default();
                if !self.has_credential(seller) {
                    let fail =
                        Fail::new(400, "Outbounds_AmazonCredentials", "There are no credentials for this seller.");
                    return Err(fail.with("OutboundId", id).with("SellerId", seller));
                }
                if premium != Some(PREMIUM) {
                    return Err(Fail::new(400, "Outbounds_PremiumTypeMismatch", "The premium type does not fit.")
                        .with("ExpectedPremiumType", PREMIUM)
                        .with("GivenPremiumType", premium.unwrap_or_default())
                        .with("OutboundId", id));
                }
                Ok(())
            }
            None if premium == Some(PREMIUM) => {
                Err(Fail::new(400, "Outbounds_PremiumTypeMismatch", "The premium type needs label provider data.")
                    .with("GivenPremiumType", PREMIUM)
                    .with("OutboundId", id))
            }
            None => Ok(()),
        }
    }

    /// Refuses an order for whose seller there are no credentials.
    fn check_seller(&self, o: &Outbound) -> Outcome<()> {
        let seller = o.members.walk(SELLER).and_then(|data| data.text("sellerId")).unwrap_or_default();
        if self.has_credential(seller) {
            return Ok(());
        }
        let fail = Fail::new(400, "Credentials_CredentialNotFound", "There are no credentials for the order.");
        Err(fail.with("CredentialId", seller))
    }

    /// The fulfiller gets a label for an outbound.
    pub(crate) fn create_label(&mut self, n: usize, told: &Json, by: Actor) -> Outcome<usize> {
        let o = self.outbound(n)?;
        if let Some(id) = o.members.text("shippingMethodId").filter(|id| self.catalog.method(id).is_none()) {
            return Err(Kind::Methods.not_found(id));
        }
        if o.members.walk(SELLER).is_none() {
            let text = "The order is for no label provider.";
            return Err(Fail::new(400, "Outbounds_ShippingLabelProvider", text));
        }
        self.check_seller(o)?;
        let data = told.get("amazonSfpShippingLabelData").unwrap_or(&Json::Null);
        if let Some(service) = data.text("shippingServiceId").filter(|id| !SERVICES.contains(id)) {
            let code = "Outbounds_AmazonSfpShippingServiceNotAvailable";
            return Err(Fail::new(400, code, "The service is not offered.")
                .with("InvalidCarrierCode", service)
                .with("InvalidCarrierName", service)
                .with("PossibleShippingServiceCarrierCodes", SERVICES.join(", ")));
        }
        let outbound = o.id.clone();
        let number = o.number.clone();
        let id = self.new_id(Kind::Labels, Role::Fulfiller, "LA", 8);
        let tracking = self.token(16);
        let file = format!("%PDF-1.4\n% label {id} of {outbound}\n%%EOF\n");
        let whole = obj([
            ("shippingLabelId", id.into()),
            ("outboundId", outbound.into()),
            ("merchantOutboundNumber", number.into()),
            ("data", STANDARD.encode(&file).into()),
            ("size", int(file.len())),
            ("mimeType", "application/pdf".into()),
            ("trackingId", tracking.into()),
        ]);
        Ok(self.put(Kind::Labels, whole, Some(n), by))
    }

    /// A label of an outbound as the API shows it.
    pub(crate) fn label_json(&self, n: usize, name: &str) -> Outcome<Json> {
        let o = self.outbound(n)?;
        let found = self.things.labels.by_id(name).and_then(|l| self.things.labels.get(l));
        let Some(label) = found.filter(|l| l.parent == Some(n)) else {
            return Err(Kind::Labels.not_found(name).with("OutboundId", o.id.as_str()));
        };
        self.check_seller(o)?;
        let mut row = label.body.clone();
        for name in ["outboundId", "merchantOutboundNumber"] {
            row.remove(name);
        }
        Ok(row)
    }
}
