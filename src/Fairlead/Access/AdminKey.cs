namespace Fairlead.Access;

/// <summary>The administrator's key of the environment, <c>FAIRLEAD_ADMIN_KEY</c>: works without a database. Immutable.</summary>
/// <param name="value">What the variable holds; null or empty when it is not set.</param>
/// <exception cref="ArgumentException">The value cannot serve as a key; the message says why and what to do.</exception>
internal sealed class AdminKey(string? value) : EnvironmentKey(value, FaultOf(value))
{
    public const string Variable = "FAIRLEAD_ADMIN_KEY";

    /// <summary>Who the key stands for: the operator, of no organization of the store.</summary>
    public Caller Caller { get; } = CallerOf("key_environment", Variable, [Scopes.AdminAll]);

    /// <summary>What keeps <paramref name="value"/> from serving as the admin key, or null. The value itself is never repeated.</summary>
    public static string? FaultOf(string? value) => FaultOf(Variable, value);
}
