using Fairlead.Configuration;
using Fairlead.Security;

namespace Fairlead.Webhooks;

/// <summary>Which receivers are allowed, by the current configuration. Thread-safe.</summary>
internal sealed class WebhookRules(IConfigurationSource configuration)
{
    private volatile Made _made = new(new WebhooksConfig(), AddressRules.PublicOnly);

    public AddressRules Addresses
    {
        get
        {
            var config = configuration.Current.Webhooks;
            var made = _made;
            if (!ReferenceEquals(made.Config, config)) _made = made = new Made(config, new AddressRules(config.AllowedNetworks));
            return made.Rules;
        }
    }

    /// <summary>The receiver's address, or what is wrong with it.</summary>
    public (Uri? Url, string? Fault) Read(string text) => OutboundUrl.Read(text, Addresses, configuration.Current.Webhooks.AllowHttp);

    private sealed record Made(WebhooksConfig Config, AddressRules Rules);
}
