using System.Text;
using Fairlead.Webhooks;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Crypto.Signers;

namespace Fairlead.Tests.Webhooks;

public sealed class WebhookKeyTests
{
    // The example that the libraries of Standard Webhooks are tested with.
    [Fact]
    public void Sign_Hmac_MatchesStandardWebhooksExample()
    {
        var key = new WebhookKey(WebhookSignature.Hmac, Convert.FromBase64String("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        var signature = key.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "{\"test\": 2432232314}"u8);
        Assert.Equal("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", signature);
        Assert.Equal("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", key.ReceiverText);
    }

    // RFC 8032, section 7.1, test 1.
    [Fact]
    public void PublicKey_Ed25519_MatchesRfcTestVector()
    {
        var key = new WebhookKey(WebhookSignature.Ed25519, Convert.FromHexString("9D61B19DEFFD5A60BA844AF492EC2CC44449C5697B326919703BAC031CAE7F60"));
        Assert.Equal("whpk_" + Convert.ToBase64String(Convert.FromHexString("D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A")), key.ReceiverText);
    }

    [Fact]
    public void Sign_Ed25519_VerifiesWithPublicKeyForSameTextOnly()
    {
        var key = WebhookKey.New(WebhookSignature.Ed25519);
        var signature = key.Sign("evt_1", 1_800_000_000, "{}"u8);
        Assert.StartsWith("v1a,", signature, StringComparison.Ordinal);
        Assert.True(Verifies("evt_1.1800000000.{}"));
        Assert.False(Verifies("evt_1.1800000001.{}"));
        Assert.False(Verifies("evt_2.1800000000.{}"));

        bool Verifies(string text)
        {
            var verifier = new Ed25519Signer();
            verifier.Init(forSigning: false, new Ed25519PublicKeyParameters(Convert.FromBase64String(key.ReceiverText["whpk_".Length..])));
            var bytes = Encoding.UTF8.GetBytes(text);
            verifier.BlockUpdate(bytes, 0, bytes.Length);
            return verifier.VerifySignature(Convert.FromBase64String(signature["v1a,".Length..]));
        }
    }

    [Fact]
    public void Header_TwoKeys_HasBothSignaturesNewestFirst()
    {
        var older = WebhookKey.New(WebhookSignature.Hmac);
        var newer = WebhookKey.New(WebhookSignature.Hmac);
        Assert.Equal($"{newer.Sign("evt_1", 1, "{}"u8)} {older.Sign("evt_1", 1, "{}"u8)}", WebhookKey.Header([newer, older], "evt_1", 1, "{}"u8.ToArray()));
    }

    [Fact]
    public void New_WebhookKey_HasUniqueSecretOfValidSizeThatIsNeverPrinted()
    {
        var one = WebhookKey.New(WebhookSignature.Hmac);
        Assert.NotEqual(one.ReceiverText, WebhookKey.New(WebhookSignature.Hmac).ReceiverText);
        Assert.InRange(one.Secret.Length, 24, 64);
        Assert.DoesNotContain(Convert.ToBase64String(one.Secret), $"{one}", StringComparison.Ordinal);
    }
}
