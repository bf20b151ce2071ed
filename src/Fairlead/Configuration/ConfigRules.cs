namespace Fairlead.Configuration;

/// <summary>
/// What a slice does with its settings beyond reading its keys one by one. The methods are pure, except that they change the given map.
/// </summary>
internal abstract class ConfigRules
{
    /// <summary>Adds settings that well-known environment variables hold. What the file says has precedence.</summary>
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
