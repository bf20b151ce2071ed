using System.Security.Cryptography;
using System.Xml.Linq;
using Fairlead.Configuration;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.AspNetCore.DataProtection.Repositories;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Catalogue.Stored;

/// <summary>
/// Encrypts secrets with ASP.NET Core's Data Protection. It has a key ring of its own, so that an embedding app's is not touched. The ring is
/// in a folder, or it is read and written by the caller, in the transaction of the secrets. Not thread-safe.
/// </summary>
internal sealed class SecretBox(IConfigurationSource configuration) : IDisposable
{
    private readonly string? _folder = configuration.Current.StoredProviders.KeyFolder;
    private Ring _ring = new([]);
    private ServiceProvider? _services;

    /// <summary>Whether the ring is in a folder, and not in the database.</summary>
    public bool IsInFolder => _folder is not null;

    /// <summary>Takes over the elements of the ring that the database has.</summary>
    public void Load(IReadOnlyList<string> elements)
    {
        if (IsInFolder || _ring.Has(elements)) return;
        _services?.Dispose();
        _services = null;
        _ring = new Ring(elements);
    }

    /// <summary>The encrypted secret. What it added to the ring must be stored: see <see cref="TakeAdded"/>.</summary>
    public byte[] Protect(string secret) => Protector().Protect(System.Text.Encoding.UTF8.GetBytes(secret));

    /// <exception cref="CryptographicException">It was changed, or its key is not in the ring.</exception>
    public string Unprotect(byte[] secret) => System.Text.Encoding.UTF8.GetString(Protector().Unprotect(secret));

    /// <summary>The same for other data, which only its own purpose can decrypt.</summary>
    public byte[] Protect(byte[] data, string purpose) => Protector(purpose).Protect(data);

    /// <exception cref="CryptographicException">It was changed, or its key is not in the ring.</exception>
    public byte[] Unprotect(byte[] data, string purpose) => Protector(purpose).Unprotect(data);

    /// <summary>Whether the ring has the key of encrypted data.</summary>
    public bool HasKeyOf(byte[] data)
    {
        // Data Protection writes a mark of four bytes, then the id of the key.
        if (data.Length < 20) return false;
        var id = new Guid(data.AsSpan(4, 16));
        return Services().GetRequiredService<IKeyManager>().GetAllKeys().Any(key => key.KeyId == id);
    }

    /// <summary>Elements that were added to the ring since the last call.</summary>
    public (string Name, string Xml)[] TakeAdded() => _ring.TakeAdded();

    public void Dispose() => _services?.Dispose();

    private IDataProtector Protector(string purpose = "Fairlead.Providers.Keys") =>
        Services().GetRequiredService<IDataProtectionProvider>().CreateProtector(purpose);

    private ServiceProvider Services()
    {
        if (_services is null)
        {
            var services = new ServiceCollection();
            var builder = services.AddDataProtection().SetApplicationName("Fairlead");
            if (_folder is null) builder.AddKeyManagementOptions(options => options.XmlRepository = _ring);
            else builder.PersistKeysToFileSystem(new DirectoryInfo(_folder));
            _services = services.BuildServiceProvider();
        }
        return _services;
    }

    private sealed class Ring(IReadOnlyList<string> elements) : IXmlRepository
    {
        private readonly List<string> _elements = [.. elements];
        private readonly List<(string Name, string Xml)> _added = [];

        public bool Has(IReadOnlyList<string> elements) => elements.All(_elements.Contains);

        public IReadOnlyCollection<XElement> GetAllElements() => [.. _elements.Select(element => XElement.Parse(element))];

        public void StoreElement(XElement element, string friendlyName)
        {
            var xml = element.ToString(SaveOptions.DisableFormatting);
            _elements.Add(xml);
            _added.Add((friendlyName, xml));
        }

        public (string Name, string Xml)[] TakeAdded()
        {
            (string, string)[] added = [.. _added];
            _added.Clear();
            return added;
        }
    }
}
