using System.Reflection;

namespace Fairlead.Server;

internal static class ProductVersion
{
    /// <summary>Such as <c>0.1.0</c>, without the build suffix.</summary>
    public static string Text { get; } =
        typeof(ProductVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0]
            ?? "0.0.0";
}
