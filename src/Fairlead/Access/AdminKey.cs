namespace Fairlead.Access;

/// <summary>The administrator's key from the environment, <c>FAIRLEAD_ADMIN_KEY</c>. It works without a database. Immutable.</summary>
/// <param name="value">The value of the variable; null or empty when it is not set.</param>
/// <exception cref="ArgumentException">The value cannot be used as a key; the message says why and what to do.</exception>
internal sealed class AdminKey(string? value) : EnvironmentKey(value, ErrorOf(value))
{
    public const string Variable = "FAIRLEAD_ADMIN_KEY";

    /// <summary>The caller of this key: the operator, without an organization in the store.</summary>
    public Caller Caller { get; } = CallerOf("key_environment", Variable, [Scopes.AdminAll], AdminGrant.Owner);

    /// <summary>Why <paramref name="value"/> cannot be used as the admin key, or null. The text never contains the value.</summary>
    public static string? ErrorOf(string? value) => ErrorOf(Variable, value);
}
