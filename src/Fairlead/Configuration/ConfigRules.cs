namespace Fairlead.Configuration;

/// <summary>
/// What a slice does with its settings beyond reading keys one by one. The methods are pure, except that they change the given map.
/// </summary>
internal abstract class ConfigRules
{
    /// <summary>Adds settings from well-known environment variables. The file has precedence.</summary>
    /// <param name="fairlead">The section <c>fairlead</c> as written.</param>
    /// <param name="environment">The variables of the process.</param>
    public virtual void AddFromEnvironment(ConfigMap fairlead, IReadOnlyDictionary<string, string> environment)
    {
    }

    /// <summary>Errors that concern more than one key.</summary>
    public virtual IEnumerable<ConfigurationError> Check(GatewayConfiguration configuration) => [];

    /// <summary>Fills in values that follow from other keys.</summary>
    public virtual GatewayConfiguration Complete(GatewayConfiguration configuration) => configuration;
}
